//! The two fonts of the pages: how wide a text is, and what stands for it in a file. A character that a font does not have is
//! written as `\u{..}`: nothing is left out. Pure.

use std::collections::BTreeMap;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Finish, Name, Pdf, Rect, Ref, Str};
use ttf_parser::Face;

use super::deflated;

static REGULAR: &[u8] = include_bytes!("../../fonts/Roboto-Regular.ttf");
static BOLD: &[u8] = include_bytes!("../../fonts/Roboto-Bold.ttf");
/// Objects that a font takes in a file.
pub(super) const OBJECTS: i32 = 5;
const SYSTEM: SystemInfo = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
/// Units of a font in a file.
const UNITS: f32 = 1000.0;

/// Which font.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// For text.
    Regular,
    /// For titles and results.
    Bold,
}

/// A font, and which of its glyphs are used.
pub(super) struct Font {
    name: &'static str,
    data: &'static [u8],
    face: Face<'static>,
    used: BTreeMap<u16, char>,
}

/// Both fonts.
pub(super) struct Fonts {
    regular: Font,
    bold: Font,
}

/// Why there are no pages. Tests exclude both.
#[derive(Debug, thiserror::Error)]
pub enum NoPages {
    /// A font does not read.
    #[error("a font of the pages does not read")]
    Font,
    /// A part cannot be packed.
    #[error("the pages cannot be packed: {}", contract::words::of_system(.0))]
    Packed(#[from] std::io::Error),
}

impl Fonts {
    pub(super) fn open() -> Result<Self, NoPages> {
        let open = |name, data| -> Result<Font, NoPages> {
            let face = Face::parse(data, 0).map_err(|_| NoPages::Font)?;
            Ok(Font { name, data, face, used: BTreeMap::new() })
        };
        Ok(Self { regular: open("Roboto-Regular", REGULAR)?, bold: open("Roboto-Bold", BOLD)? })
    }

    pub(super) fn of(&mut self, weight: Weight) -> &mut Font {
        match weight {
            Weight::Regular => &mut self.regular,
            Weight::Bold => &mut self.bold,
        }
    }

    /// Every font with its name in contents.
    pub(super) fn all(&self) -> [(&'static [u8], &Font); 2] {
        [(name(Weight::Regular), &self.regular), (name(Weight::Bold), &self.bold)]
    }
}

/// The name of a font in contents.
pub(super) fn name(weight: Weight) -> &'static [u8] {
    match weight {
        Weight::Regular => b"R",
        Weight::Bold => b"B",
    }
}

impl Font {
    /// The text with what the font does not have written in characters that it has.
    pub(super) fn spelled(&self, text: &str) -> String {
        let mut out = String::new();
        for one in text.chars() {
            if one == '\n' || self.face.glyph_index(one).is_some() {
                out.push(one);
            } else {
                out.extend(one.escape_unicode());
            }
        }
        out
    }

    /// How wide a spelled text is.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let all = text.chars().filter_map(|one| self.face.glyph_hor_advance(self.face.glyph_index(one)?));
        all.map(f32::from).sum::<f32>() * size / f32::from(self.face.units_per_em())
    }

    /// The text as contents have it.
    pub(super) fn encode(&mut self, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for one in text.chars() {
            if let Some(glyph) = self.face.glyph_index(one) {
                self.used.entry(glyph.0).or_insert(one);
                out.extend(glyph.0.to_be_bytes());
            }
        }
        out
    }

    fn scaled(&self, units: f32) -> f32 {
        units * UNITS / f32::from(self.face.units_per_em())
    }

    /// Writes the font into a file, whole, with what its glyphs mean: objects from `first` on.
    pub(super) fn write(&self, pdf: &mut Pdf, first: Ref) -> Result<(), NoPages> {
        let at = |number: i32| Ref::new(first.get() + number);
        let (cid, descriptor, file, meaning) = (at(1), at(2), at(3), at(4));
        let base = Name(self.name.as_bytes());
        let mut font = pdf.type0_font(first);
        font.base_font(base).encoding_predefined(Name(b"Identity-H")).descendant_font(cid).to_unicode(meaning);
        font.finish();
        let mut font = pdf.cid_font(cid);
        font.subtype(CidFontType::Type2).base_font(base).system_info(SYSTEM).font_descriptor(descriptor);
        font.cid_to_gid_map_predefined(Name(b"Identity"));
        let mut widths = font.widths();
        for glyph in self.used.keys() {
            let advance = self.face.glyph_hor_advance(ttf_parser::GlyphId(*glyph)).unwrap_or_default();
            widths.same(*glyph, *glyph, self.scaled(f32::from(advance)));
        }
        widths.finish();
        font.finish();
        let bounds = self.face.global_bounding_box();
        let scaled = |value: i16| self.scaled(f32::from(value));
        let capital = self.face.capital_height().unwrap_or_else(|| self.face.ascender());
        let mut about = pdf.font_descriptor(descriptor);
        about
            .name(base)
            .flags(FontFlags::NON_SYMBOLIC)
            .bbox(Rect::new(scaled(bounds.x_min), scaled(bounds.y_min), scaled(bounds.x_max), scaled(bounds.y_max)))
            .italic_angle(0.0)
            .ascent(scaled(self.face.ascender()))
            .descent(scaled(self.face.descender()))
            .cap_height(scaled(capital))
            .stem_v(80.0)
            .font_file2(file);
        about.finish();
        let packed = deflated(self.data)?;
        let mut stream = pdf.stream(file, &packed);
        stream.filter(Filter::FlateDecode);
        stream.pair(Name(b"Length1"), i32::try_from(self.data.len()).unwrap_or(i32::MAX));
        stream.finish();
        let mut map = UnicodeCmap::<u16>::new(Name(b"Text"), SYSTEM);
        for (glyph, one) in &self.used {
            map.pair(*glyph, *one);
        }
        let packed = deflated(map.finish().as_slice())?;
        pdf.cmap(meaning, &packed).filter(Filter::FlateDecode);
        Ok(())
    }
}
