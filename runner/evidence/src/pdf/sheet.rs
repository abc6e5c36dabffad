//! Pages that fill from the top: lines that wrap, rows of cells, headings, rules, and a line at the foot of each. Pure.

use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use super::deflated;
use super::font::{Fonts, NoPages, OBJECTS, Weight, name};

/// A4, in points.
const PAPER: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 56.0;
const FOOT: f32 = 64.0;
/// Width that lines may have.
pub(super) const WIDE: f32 = PAPER.0 - 2.0 * MARGIN;
/// Height of a line by the size of its letters.
const LEADING: f32 = 1.35;
const FOOT_SIZE: f32 = 8.0;

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) weight: Weight,
    pub(super) size: f32,
    pub(super) colour: Colour,
}

/// Red, green, blue: 0 to 1.
pub(super) type Colour = (f32, f32, f32);
pub(super) const BLACK: Colour = (0.1, 0.1, 0.12);
pub(super) const GREY: Colour = (0.42, 0.44, 0.48);
const LIGHT: Colour = (0.82, 0.83, 0.86);

/// A cell of a row.
pub(super) struct Cell<'a> {
    /// From the left margin.
    pub(super) left: f32,
    pub(super) width: f32,
    pub(super) look: Look,
    pub(super) text: &'a str,
}

pub(super) struct Sheets {
    fonts: Fonts,
    pages: Vec<Content>,
    /// Where the next line goes, from below.
    y: f32,
}

impl Sheets {
    pub(super) fn open() -> Result<Self, NoPages> {
        Ok(Self { fonts: Fonts::open()?, pages: vec![Content::new()], y: PAPER.1 - MARGIN })
    }

    pub(super) fn new_page(&mut self) {
        self.pages.push(Content::new());
        self.y = PAPER.1 - MARGIN;
    }

    pub(super) fn space(&mut self, height: f32) {
        self.y -= height;
    }

    /// Goes on at the next page where less than this is left.
    pub(super) fn room(&mut self, height: f32) {
        if self.y - height < FOOT {
            self.new_page();
        }
    }

    /// A line across.
    pub(super) fn rule(&mut self) {
        let (y, (red, green, blue)) = (self.y, LIGHT);
        if let Some(page) = self.pages.last_mut() {
            page.set_stroke_rgb(red, green, blue).set_line_width(0.6);
            page.move_to(MARGIN, y).line_to(PAPER.0 - MARGIN, y).stroke();
        }
        self.y -= 6.0;
    }

    /// A text as wide as the page.
    pub(super) fn text(&mut self, look: Look, text: &str) {
        self.row(&[Cell { left: 0.0, width: WIDE, look, text }]);
    }

    /// Cells beside each other. A row that does not fit goes to the next page, and is cut only where no page has room for it.
    pub(super) fn row(&mut self, cells: &[Cell<'_>]) {
        let wrapped: Vec<Vec<String>> = cells.iter().map(|cell| self.wrap(cell)).collect();
        let height = |cell: &Cell<'_>| cell.look.size * LEADING;
        let heights = cells.iter().zip(&wrapped).map(|(cell, lines)| height(cell) * lines.len() as f32);
        let tallest = heights.fold(0.0, f32::max);
        if tallest < PAPER.1 - MARGIN - FOOT {
            self.room(tallest);
        }
        let most = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        let step = cells.iter().map(height).fold(0.0, f32::max);
        for number in 0..most {
            self.room(step);
            self.y -= step;
            let y = self.y;
            for (cell, lines) in cells.iter().zip(&wrapped) {
                if let Some(line) = lines.get(number) {
                    self.put(MARGIN + cell.left, y, cell.look, line);
                }
            }
        }
    }

    fn put(&mut self, x: f32, y: f32, look: Look, line: &str) {
        let bytes = self.fonts.of(look.weight).encode(line);
        if let Some(page) = self.pages.last_mut() {
            draw(page, (x, y), look, &bytes);
        }
    }

    /// The lines of a cell: broken between words, and inside a word that is wider than the cell.
    fn wrap(&mut self, cell: &Cell<'_>) -> Vec<String> {
        let font = self.fonts.of(cell.look.weight);
        let size = cell.look.size;
        let mut out = Vec::new();
        for part in font.spelled(cell.text).lines() {
            let mut line = String::new();
            for word in part.split(' ') {
                let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
                if font.width(&longer, size) <= cell.width {
                    line = longer;
                    continue;
                }
                if !line.is_empty() {
                    out.push(std::mem::take(&mut line));
                }
                for one in word.chars() {
                    line.push(one);
                    if font.width(&line, size) > cell.width {
                        line.pop();
                        out.push(std::mem::take(&mut line));
                        line.push(one);
                    }
                }
            }
            out.push(line);
        }
        out
    }

    /// The file. `foot` stands below each page, with its number.
    pub(super) fn finish(mut self, title: &str, foot: &str) -> Result<Vec<u8>, NoPages> {
        let look = Look { weight: Weight::Regular, size: FOOT_SIZE, colour: GREY };
        let count = self.pages.len();
        for number in 0..count {
            let letters = self.fonts.of(look.weight);
            let label = format!("page {} of {count}", number + 1);
            let left = PAPER.0 - MARGIN - letters.width(&label, look.size);
            let spelled = letters.spelled(foot);
            let (below, label) = (letters.encode(&spelled), letters.encode(&label));
            if let Some(page) = self.pages.get_mut(number) {
                draw(page, (MARGIN, MARGIN - 16.0), look, &below);
                draw(page, (left, MARGIN - 16.0), look, &label);
            }
        }
        let mut pdf = Pdf::new();
        let (catalog, tree, info) = (Ref::new(1), Ref::new(2), Ref::new(3));
        let font_at = |number: usize| Ref::new(4 + OBJECTS * i32::try_from(number).unwrap_or(0));
        let first_page = 4 + OBJECTS * 2;
        let page_at = |number: usize| Ref::new(first_page + 2 * i32::try_from(number).unwrap_or(0));
        let text_at = |number: usize| Ref::new(page_at(number).get() + 1);
        pdf.catalog(catalog).pages(tree).lang(TextStr("en"));
        pdf.pages(tree).kids((0..count).map(page_at)).count(i32::try_from(count).unwrap_or(i32::MAX));
        pdf.document_info(info).title(TextStr(title)).producer(TextStr("kafka-backup-runner"));
        for (number, (_, font)) in self.fonts.all().into_iter().enumerate() {
            font.write(&mut pdf, font_at(number))?;
        }
        let names = self.fonts.all().map(|(name, _)| name);
        for (number, page) in self.pages.into_iter().enumerate() {
            let mut drawn = pdf.page(page_at(number));
            drawn.media_box(Rect::new(0.0, 0.0, PAPER.0, PAPER.1)).parent(tree).contents(text_at(number));
            let mut resources = drawn.resources();
            let mut fonts = resources.fonts();
            for (place, name) in names.into_iter().enumerate() {
                fonts.pair(Name(name), font_at(place));
            }
            fonts.finish();
            resources.finish();
            drawn.finish();
            pdf.stream(text_at(number), &deflated(page.finish().as_slice())?).filter(Filter::FlateDecode);
        }
        Ok(pdf.finish())
    }
}

fn draw(page: &mut Content, (x, y): (f32, f32), look: Look, bytes: &[u8]) {
    let (red, green, blue) = look.colour;
    page.begin_text().set_fill_rgb(red, green, blue).set_font(Name(name(look.weight)), look.size);
    page.next_line(x, y).show(Str(bytes));
    page.end_text();
}
