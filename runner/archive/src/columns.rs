//! Rows that are written as columns: one JSON array per field, all of one length.
//!
//! Thousands of rows compress several times better this way, and numbers of a column stay together.

/// Declares a row type and its serialization as columns. A column with `or VALUE` may be absent, in documents of releases
/// that did not write it: its rows have that value then.
macro_rules! columns {
    ($(#[$meta:meta])* $vis:vis struct $row:ident as $columns:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $name:literal $(or $default:expr)?,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $row { $($(#[$field_meta])* pub $field: $type,)* }

        /// The rows as columns, for serde.
        #[derive(Default, serde::Serialize, serde::Deserialize)]
        struct $columns { $(#[serde(rename = $name, default)] $field: Vec<$type>,)* }

        impl $row {
            /// Writes rows as columns.
            pub(crate) fn serialize<S: serde::Serializer>(rows: &[Self], serializer: S) -> Result<S::Ok, S::Error> {
                let mut columns = $columns::default();
                for row in rows { $(columns.$field.push(row.$field.clone());)* }
                serde::Serialize::serialize(&columns, serializer)
            }

            /// Reads rows from columns; columns of different lengths are an error.
            pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Self>, D::Error> {
                #[allow(unused_mut)]
                let mut columns: $columns = serde::Deserialize::deserialize(deserializer)?;
                let length = [$(columns.$field.len(),)*].into_iter().max().unwrap_or(0);
                $($(if columns.$field.is_empty() { columns.$field = vec![$default; length]; })?)*
                let lengths = [$(columns.$field.len(),)*];
                if lengths.iter().any(|other| *other != length) {
                    return Err(serde::de::Error::custom("columns of different lengths"));
                }
                $(let mut $field = columns.$field.into_iter();)*
                let mut rows = Vec::with_capacity(length);
                while let ($(Some($field),)*) = ($($field.next(),)*) {
                    rows.push(Self { $($field,)* });
                }
                Ok(rows)
            }
        }
    };
}
pub(crate) use columns;
