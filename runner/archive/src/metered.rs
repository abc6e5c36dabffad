//! A deserializer that counts what the values that it hands on take in memory, and stops where that is too much.
//!
//! Few bytes of JSON can become many in memory: `"":{"":""}` are nine, and a map with room for eleven entries is more than
//! five hundred. The type that is read decides what a value takes, so it is asked: a map is another thing than the fields
//! of a structure. Pure.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

/// A number, in a column and in its row.
const SCALAR: u64 = 16;
/// A text in a column and in its row, and where its bytes are.
const TEXT: u64 = 80;
/// A list without its elements.
const LIST: u64 = 24;
/// What a structure has besides its fields: those that are absent, and padding.
const STRUCTURE: u64 = 32;
/// The first entry of a map makes room for eleven.
const MAP: u64 = 640;
/// An entry of a map besides its key and its value: nodes are half empty.
const ENTRY: u64 = 48;

/// What may still be taken.
#[derive(Debug)]
pub(crate) struct Meter {
    left: Cell<u64>,
    over: Cell<bool>,
}

impl Meter {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { left: Cell::new(bytes), over: Cell::new(false) }
    }

    /// Whether more was wanted than there is.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    pub(crate) fn take<E: Error>(&self, bytes: u64) -> Result<(), E> {
        if let Some(left) = self.left.get().checked_sub(bytes) {
            self.left.set(left);
            return Ok(());
        }
        self.over.set(true);
        Err(E::custom("it takes too much memory"))
    }
}

/// The name by which a deserializer that counts knows a [`Passing`] value.
const PASSING: &str = "a value that is not kept";

/// Reads a value by `S` of which nothing is kept once it was looked at: it counts only meanwhile.
#[derive(Debug)]
pub struct Passing<S>(pub S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Passing<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        deserializer.deserialize_newtype_struct(PASSING, self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Passing<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PASSING)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(value)
    }
}

/// Anything of serde, whose values are counted.
pub(crate) struct Metered<'m, T> {
    inner: T,
    meter: &'m Meter,
}

impl<'m, T> Metered<'m, T> {
    pub(crate) fn new(inner: T, meter: &'m Meter) -> Self {
        Self { inner, meter }
    }
}

/// What the object is that a visitor is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Object {
    Map,
    Structure,
}

/// Whether a text is kept as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Kept,
    /// It is read for what it says: an id, a time.
    Read,
    /// The name of a field.
    Name,
}

/// A visitor that is shown values, and what they are.
struct Watch<'m, V> {
    visitor: V,
    meter: &'m Meter,
    object: Object,
    text: Text,
}

impl<'m, V> Watch<'m, V> {
    fn new(visitor: V, meter: &'m Meter) -> Self {
        Self { visitor, meter, object: Object::Map, text: Text::Kept }
    }

    fn text<E: Error>(&self, length: usize) -> Result<(), E> {
        match self.text {
            Text::Kept => self.meter.take(TEXT.saturating_add(length as u64)),
            Text::Read => self.meter.take(SCALAR),
            Text::Name => Ok(()),
        }
    }
}

macro_rules! forward {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.inner.$method(Watch::new(visitor, self.meter))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Metered<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit
        deserialize_seq deserialize_map
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_str(Watch { text: Text::Read, ..Watch::new(visitor, self.meter) })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_identifier(Watch { text: Text::Name, ..Watch::new(visitor, self.meter) })
    }

    /// What nobody keeps takes nothing.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_unit_struct(name, Watch::new(visitor, self.meter))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let left = self.meter.left.get();
        let value = self.inner.deserialize_newtype_struct(name, Watch::new(visitor, self.meter))?;
        if name == PASSING {
            self.meter.left.set(left);
        }
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_tuple(length, Watch::new(visitor, self.meter))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_tuple_struct(name, length, Watch::new(visitor, self.meter))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let watch = Watch { object: Object::Structure, ..Watch::new(visitor, self.meter) };
        self.inner.deserialize_struct(name, fields, watch)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_enum(name, variants, Watch::new(visitor, self.meter))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.meter.take::<E>(SCALAR)?;
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    scalars! {
        visit_bool: bool, visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128,
        visit_f32: f32, visit_f64: f64, visit_char: char
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.text::<E>(value.len())?;
        self.visitor.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.text::<E>(value.len())?;
        self.visitor.visit_borrowed_str(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        self.text::<E>(value.len())?;
        self.visitor.visit_string(value)
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<V::Value, E> {
        self.text::<E>(value.len())?;
        self.visitor.visit_bytes(value)
    }

    fn visit_borrowed_bytes<E: Error>(self, value: &'de [u8]) -> Result<V::Value, E> {
        self.text::<E>(value.len())?;
        self.visitor.visit_borrowed_bytes(value)
    }

    fn visit_byte_buf<E: Error>(self, value: Vec<u8>) -> Result<V::Value, E> {
        self.text::<E>(value.len())?;
        self.visitor.visit_byte_buf(value)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.meter.take::<E>(SCALAR)?;
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.meter.take::<E>(SCALAR)?;
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Metered::new(value, self.meter))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Metered::new(value, self.meter))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.meter.take::<A::Error>(LIST)?;
        self.visitor.visit_seq(Metered::new(list, self.meter))
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let first = if self.object == Object::Map {
            MAP
        } else {
            self.meter.take::<A::Error>(STRUCTURE)?;
            0
        };
        self.visitor.visit_map(Entries { inner, meter: self.meter, object: self.object, first })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, choice: A) -> Result<V::Value, A::Error> {
        self.meter.take::<A::Error>(SCALAR)?;
        self.visitor.visit_enum(Metered::new(choice, self.meter))
    }
}

/// The entries of an object.
struct Entries<'m, A> {
    inner: A,
    meter: &'m Meter,
    object: Object,
    /// What the first entry takes besides.
    first: u64,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let key = self.inner.next_key_seed(Metered::new(seed, self.meter))?;
        if key.is_some() && self.object == Object::Map {
            self.meter.take::<A::Error>(ENTRY + std::mem::take(&mut self.first))?;
        }
        Ok(key)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.inner.next_value_seed(Metered::new(seed, self.meter))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Metered<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.inner.next_element_seed(Metered::new(seed, self.meter))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Metered<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Metered::new(deserializer, self.meter))
    }
}

impl<'de, 'm, A: EnumAccess<'de>> EnumAccess<'de> for Metered<'m, A> {
    type Error = A::Error;
    type Variant = Metered<'m, A::Variant>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(Metered::new(seed, self.meter))?;
        Ok((value, Metered::new(variant, self.meter)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Metered<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.newtype_variant_seed(Metered::new(seed, self.meter))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(length, Watch::new(visitor, self.meter))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let watch = Watch { object: Object::Structure, ..Watch::new(visitor, self.meter) };
        self.inner.struct_variant(fields, watch)
    }
}
