//! The figures as a plot: small charts side by side, a bar for each contestant, a whisker from the smallest to the
//! largest round. Written by hand as SVG, readable on a light and on a dark page.

use std::fmt::Write as _;

use serde_json::Value;

use super::report::{figure, present};

/// One chart: title, path of the figure, factor, digits.
type Chart = (&'static str, &'static str, f64, usize);

const CHARTS: [Chart; 8] = [
    ("zones per second (more is better)", "/objectsPerSecond", 1.0, 1),
    (
        "deletions per second (more is better)",
        "/deletionsPerSecond",
        1.0,
        1,
    ),
    ("API writes per zone", "/apiWritesPerObject", 1.0, 2),
    (
        "outside calls per zone",
        "/outsideCallsPerObject/cloudflare",
        1.0,
        2,
    ),
    ("processor time per zone, ms", "/cpuSecondsPerObject", 1000.0, 2),
    ("peak memory, MiB", "/peakRssMib", 1.0, 1),
    ("restart, seconds", "/restartSeconds", 1.0, 1),
    ("repair of a drift, seconds", "/driftRepairSeconds", 1.0, 1),
];

/// Charts side by side.
const COLUMNS: usize = 2;
const CHART_WIDTH: f64 = 420.0;
const MARGIN: f64 = 16.0;
/// Room for the names at the left of the bars, and for the numbers at their right.
const NAMES: f64 = 130.0;
const NUMBERS: f64 = 60.0;
const BAR: f64 = 18.0;
const BAR_GAP: f64 = 8.0;
const TITLE: f64 = 28.0;
const HEADING: f64 = 40.0;

/// Colours that can be told apart on white and on black, also by people who see fewer of them (Okabe and Ito).
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600}.h{font-size:15px;font-weight:600}\
.w{stroke:#1f2328;stroke-width:1.5;fill:none}.hostwright{fill:#d55e00}.kopf{fill:#009e73}\
.controller-runtime{fill:#0072b2}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.w{stroke:#e6edf3}\
.controller-runtime{fill:#56b4e9}}";

/// Draws the plot.
pub(super) fn draw(race: &Value) -> String {
    let contestants = present(race);
    let height = TITLE + (BAR + BAR_GAP) * contestants.len() as f64 + MARGIN;
    let lines = CHARTS.len().div_ceil(COLUMNS);
    let (wide, high) = (
        CHART_WIDTH * COLUMNS as f64 + MARGIN,
        HEADING + height * lines as f64,
    );
    let whole = |name: &str| race.get(name).and_then(Value::as_f64).unwrap_or_default();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" width=\"{wide}\" height=\"{high}\" \
         role=\"img\" aria-label=\"The race against the peers\">\n<style>{STYLE}</style>\n\
         <text class=\"h\" x=\"{MARGIN}\" y=\"24\">{} zones, {} rounds: medians, smallest and largest</text>\n",
        whole("objects"),
        whole("rounds"),
    );
    for (place, chart) in CHARTS.iter().enumerate() {
        let left = MARGIN + CHART_WIDTH * (place % COLUMNS) as f64;
        let top = HEADING + height * (place / COLUMNS) as f64;
        draw_chart(&mut svg, chart, &contestants, left, top);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_chart(svg: &mut String, chart: &Chart, contestants: &[(&str, &Value)], left: f64, top: f64) {
    let (title, path, factor, digits) = chart;
    let most = contestants
        .iter()
        .filter_map(|(_, contestant)| figure(contestant, path))
        .fold(0.0_f64, |most, (median, _, largest)| {
            most.max(median).max(largest)
        });
    let room = CHART_WIDTH - NAMES - NUMBERS - MARGIN;
    let scale = if most > 0.0 { room / most } else { 0.0 };
    let _ = writeln!(
        svg,
        "<text class=\"t\" x=\"{left}\" y=\"{:.1}\">{title}</text>",
        top + 16.0
    );
    for (place, (name, contestant)) in contestants.iter().enumerate() {
        let y = top + TITLE + (BAR + BAR_GAP) * place as f64;
        let base = y + BAR - 4.0;
        let x = left + NAMES;
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"{base:.1}\">{name}</text>");
        let Some((median, least, largest)) = figure(contestant, path) else {
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{base:.1}\">failed</text>");
            continue;
        };
        let (from, to) = (x + least * scale, x + largest * scale);
        let _ = writeln!(
            svg,
            "<rect class=\"{name}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            (median * scale).max(1.0)
        );
        if least < largest {
            let (middle, upper, lower) = (y + BAR / 2.0, y + BAR / 4.0, y + BAR * 3.0 / 4.0);
            let _ = writeln!(
                svg,
                "<path class=\"w\" d=\"M{from:.1} {middle:.1}H{to:.1}M{from:.1} {upper:.1}V{lower:.1}M{to:.1} \
                 {upper:.1}V{lower:.1}\"/>"
            );
        }
        let end = x + median.max(largest) * scale + 6.0;
        let _ = writeln!(
            svg,
            "<text x=\"{end:.1}\" y=\"{base:.1}\">{:.digits$}</text>",
            median * factor
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bars_whiskers_and_failures_are_drawn() {
        let race = json!({"objects": 50, "rounds": 3, "contestants": {
            "hostwright": {
                "objectsPerSecond": 100, "peakRssMib": 20,
                "spread": {"objectsPerSecond": {"min": 90, "max": 110}, "peakRssMib": {"min": 20, "max": 20}},
            },
            "kopf": {"rounds": 0},
        }});
        let svg = draw(&race);
        assert_eq!(svg.matches("<rect class=\"hostwright\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("<path class=\"w\"").count(), 1, "{svg}");
        assert!(svg.contains(">failed</text>"), "{svg}");
        assert!(
            svg.contains("prefers-color-scheme:dark") && svg.ends_with("</svg>\n"),
            "{svg}"
        );
    }
}
