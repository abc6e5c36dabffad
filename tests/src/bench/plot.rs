//! Line charts as SVG, two below each other. Pure.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 230.0;
/// Room left, right, above and below the lines of a panel.
const EDGE: (f64, f64, f64, f64) = (64.0, 16.0, 34.0, 44.0);
const COLOURS: [&str; 3] = ["#1f6f8b", "#c8553d", "#6a994e"];
const TICKS: u32 = 4;

/// A line: its name and its points.
pub type Line = (String, Vec<(f64, f64)>);

/// One chart.
pub struct Panel<'a> {
    /// What the chart shows.
    pub title: &'a str,
    /// Name and unit of the horizontal axis.
    pub x: &'a str,
    /// Lines, drawn from zero.
    pub lines: &'a [Line],
}

/// Charts below each other.
pub fn svg(panels: &[Panel<'_>]) -> String {
    let height = PANEL * panels.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        writeln!(out, "<g transform=\"translate(0 {})\">", PANEL * number as f64).unwrap();
        draw(&mut out, panel);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel<'_>) {
    let (left, right, top, bottom) = EDGE;
    let points = || panel.lines.iter().flat_map(|(_, points)| points);
    let (max_x, max_y) = (round_up(points().map(|p| p.0)), round_up(points().map(|p| p.1)));
    let x = |value: f64| left + value / max_x * (WIDTH - left - right);
    let y = |value: f64| PANEL - bottom - value / max_y * (PANEL - top - bottom);
    writeln!(out, "<text x=\"{left}\" y=\"20\" font-weight=\"bold\">{}</text>", panel.title).unwrap();
    writeln!(out, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", WIDTH - right, PANEL - 8.0, panel.x)
        .unwrap();
    for tick in 0..=TICKS {
        let share = f64::from(tick) / f64::from(TICKS);
        let (at_x, at_y) = (x(share * max_x), y(share * max_y));
        writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{at_y:.1}\" y2=\"{at_y:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text x=\"{at_x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            WIDTH - right,
            left - 8.0,
            at_y + 4.0,
            share * max_y,
            PANEL - bottom + 16.0,
            share * max_x,
        )
        .unwrap();
    }
    for (number, (name, points)) in panel.lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<_> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let at = WIDTH - right - 110.0 * (panel.lines.len() - number) as f64;
        writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <rect x=\"{at}\" y=\"11\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"20\">{name}</text>",
            path.join(" "),
            at + 14.0
        )
        .unwrap();
    }
}

/// The next value with one or two digits that four ticks divide well.
fn round_up(values: impl Iterator<Item = f64>) -> f64 {
    let max = values.fold(f64::MIN_POSITIVE, f64::max);
    let unit = 10f64.powf(max.log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].into_iter().map(|step| step * unit).find(|top| *top >= max).unwrap_or(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_values_above_the_largest_point() {
        for (max, top) in [(3.0, 4.0), (95.0, 100.0), (0.7, 0.8), (2000.0, 2000.0)] {
            assert!((round_up([max].into_iter()) - top).abs() < 1e-9, "{max}");
        }
    }

    #[test]
    fn every_point_is_drawn_inside() {
        let lines = [("a".to_owned(), vec![(0.0, 0.0), (3.0, 9.0)])];
        let text = svg(&[Panel { title: "t", x: "s", lines: &lines }]);
        assert!(text.contains("points=\"64.0,186.0 544.0,49.2\""), "{text}");
    }
}
