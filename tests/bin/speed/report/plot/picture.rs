//! A chart as SVG, in a slide's proportions.

use std::fmt::Write;

use super::chart::{Chart, Line};

const WIDTH: f64 = 1_280.0;
const HEIGHT: f64 = 720.0;
/// Where the axes lie; to the right of them are the lines' names.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 1_020.0;
const TOP: f64 = 120.0;
const BOTTOM: f64 = 640.0;
/// Between two names, so that they do not lie on each other.
const NAME_STEP: f64 = 24.0;

/// The whole file.
pub(crate) fn draw(chart: &Chart) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"18\" \
         fill=\"#333333\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let title = "font-size=\"30\" font-weight=\"bold\" fill=\"#111111\"";
    text(&mut svg, (LEFT, 52.0), title, &chart.title);
    let subtitle = "font-size=\"16\" fill=\"#777777\"";
    text(&mut svg, (LEFT, 82.0), subtitle, &chart.subtitle);
    axes(&mut svg, chart);
    for line in &chart.lines {
        curve(&mut svg, chart, line);
    }
    names(&mut svg, chart);
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, chart: &Chart) {
    for (value, written) in &chart.y.ticks {
        let y = vertical(chart, *value);
        stroke(svg, (LEFT, y), (RIGHT, y), "#e4e4e4");
        text(svg, (LEFT - 12.0, y + 6.0), "text-anchor=\"end\"", written);
    }
    stroke(svg, (LEFT, BOTTOM), (RIGHT, BOTTOM), "#888888");
    for (value, written) in &chart.x.ticks {
        let x = horizontal(chart, *value);
        stroke(svg, (x, BOTTOM), (x, BOTTOM + 6.0), "#888888");
        text(svg, (x, BOTTOM + 28.0), "text-anchor=\"middle\"", written);
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    let style = "text-anchor=\"middle\" font-size=\"16\" fill=\"#777777\"";
    text(svg, (middle, BOTTOM + 60.0), style, &chart.x.label);
}

fn curve(svg: &mut String, chart: &Chart, line: &Line) {
    let points: Vec<String> = line
        .points
        .iter()
        .map(|point| place(chart, *point))
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let dash = if line.dashed {
        " stroke-dasharray=\"3 6\""
    } else {
        ""
    };
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"3.5\" \
         stroke-linejoin=\"round\" stroke-linecap=\"round\"{dash}/>",
        points.join(" "),
        line.color
    );
    for (x, y) in line.points.iter().map(|point| place(chart, *point)) {
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{}\"/>",
            line.color
        );
    }
}

/// The lines' names at their ends, moved apart where they would lie on each other.
fn names(svg: &mut String, chart: &Chart) {
    let named = chart.lines.iter().filter(|line| !line.name.is_empty());
    let mut ends: Vec<(f64, &Line)> = named
        .filter_map(|line| {
            let last = line.points.last()?;
            Some((vertical(chart, last.1), line))
        })
        .collect();
    ends.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut free = TOP;
    let mut places = Vec::new();
    for (end, _) in &ends {
        let y = end.max(free);
        free = y + NAME_STEP;
        places.push(y);
    }
    // What was pushed below the axis is pushed back up.
    let mut below = BOTTOM;
    for y in places.iter_mut().rev() {
        *y = y.min(below);
        below = *y - NAME_STEP;
    }
    for (y, (_, line)) in places.into_iter().zip(ends) {
        let style = format!("fill=\"{}\" font-weight=\"bold\"", line.color);
        text(svg, (RIGHT + 16.0, y + 6.0), &style, &line.name);
    }
}

fn place(chart: &Chart, (x, y): (f64, f64)) -> (f64, f64) {
    (horizontal(chart, x), vertical(chart, y))
}

fn horizontal(chart: &Chart, value: f64) -> f64 {
    // Room on both sides, so that the first and the last point lie inside.
    let room = 24.0;
    LEFT + room + chart.x.place(value) * (RIGHT - LEFT - 2.0 * room)
}

fn vertical(chart: &Chart, value: f64) -> f64 {
    BOTTOM - chart.y.place(value) * (BOTTOM - TOP)
}

fn stroke(svg: &mut String, from: (f64, f64), to: (f64, f64), color: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), style: &str, words: &str) {
    let escaped = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" {style}>{escaped}</text>",
        at.0, at.1
    );
}
