//! Plots as SVG: points and lines on logarithmic or linear axes, and bars.

mod labels;

use std::fmt::Write as _;

use labels::Labels;

const WIDTH: f64 = 720.0;
const FONT: &str = "font-family=\"system-ui, sans-serif\"";

/// The drawing area of a plot with axes.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 370.0;
const HEIGHT: f64 = 420.0;

/// How numbers are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From zero.
    Linear,
    Logarithmic,
}

/// One direction of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) title: String,
    pub(crate) scale: Scale,
}

/// Points of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) label: String,
    pub(crate) color: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Points on two axes. Those of a series are joined by a line; a series of one point has its label beside it, others in a legend.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// A bar.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) color: &'static str,
    pub(crate) value: f64,
    /// The value as a reader sees it.
    pub(crate) text: String,
}

/// Bars in groups, each group with its own scale: what is compared is what is in one group.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) groups: Vec<(String, Vec<Bar>)>,
}

/// A document under construction. Writing to a string cannot fail, so results of `write!` are not looked at.
struct Canvas {
    text: String,
}

impl Canvas {
    fn new(height: f64, title: &str) -> Canvas {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" {FONT} font-size=\"12\">"
        );
        let _ = writeln!(text, "<title>{}</title>", escape(title));
        let _ = writeln!(
            text,
            "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>"
        );
        let mut canvas = Canvas { text };
        canvas.label((16.0, 24.0), "start", "font-size=\"15\"", title);
        canvas
    }

    fn label(&mut self, (x, y): (f64, f64), anchor: &str, more: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.text,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{text}</text>"
        );
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.text,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\"/>"
        );
    }

    fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), color: &str) {
        let _ = writeln!(
            self.text,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
        );
    }

    fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// A scale with its limits, from numbers to coordinates.
struct Mapping {
    scale: Scale,
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Mapping {
    fn new(scale: Scale, values: &[f64], start: f64, end: f64) -> Mapping {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = match scale {
            Scale::Linear => (0.0, most * 1.08),
            Scale::Logarithmic => (least / 1.3, most * 1.3),
        };
        Mapping {
            scale,
            low,
            high,
            start,
            end,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        self.start + place * (self.end - self.start)
    }

    /// Round numbers within the limits.
    fn ticks(&self) -> Vec<f64> {
        let decades = |low: f64, high: f64| low.log10().floor() as i32..=high.log10().ceil() as i32;
        let within = |tick: &f64| (self.low..=self.high).contains(tick);
        match self.scale {
            Scale::Logarithmic => decades(self.low, self.high)
                .flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(decade)))
                .filter(within)
                .collect(),
            Scale::Linear => {
                let step = step(self.high);
                (0..=10)
                    .map(|count| f64::from(count) * step)
                    .filter(within)
                    .collect()
            }
        }
    }
}

/// A round number of which `high` has about five.
fn step(high: f64) -> f64 {
    let decade = 10f64.powf((high / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * decade);
    let fits = steps.into_iter().find(|step| high / step <= 7.0);
    fits.unwrap_or(10.0 * decade)
}

impl Plot {
    /// The document, or nothing if there are no points.
    pub(crate) fn render(&self) -> Option<String> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let xs: Vec<f64> = points().map(|point| point.0).collect();
        let ys: Vec<f64> = points().map(|point| point.1).collect();
        if xs.is_empty() {
            return None;
        }
        let x = Mapping::new(self.x.scale, &xs, LEFT, RIGHT);
        let y = Mapping::new(self.y.scale, &ys, BOTTOM, TOP);
        let mut canvas = Canvas::new(HEIGHT, &self.title);
        self.grid(&mut canvas, &x, &y);
        let mut legend = 0;
        for series in &self.series {
            self.draw(&mut canvas, series, (&x, &y), &mut legend);
        }
        self.name_points(&mut canvas, (&x, &y));
        Some(canvas.finish())
    }

    fn grid(&self, canvas: &mut Canvas, x: &Mapping, y: &Mapping) {
        const GRID: &str = "#e4e4e4";
        for tick in x.ticks() {
            let at = x.at(tick);
            canvas.line((at, TOP), (at, BOTTOM), GRID);
            canvas.label((at, BOTTOM + 16.0), "middle", "", &short(tick));
        }
        for tick in y.ticks() {
            let at = y.at(tick);
            canvas.line((LEFT, at), (RIGHT, at), GRID);
            canvas.label((LEFT - 6.0, at + 4.0), "end", "", &short(tick));
        }
        let middle = (LEFT + RIGHT) / 2.0;
        canvas.label((middle, HEIGHT - 12.0), "middle", "", &self.x.title);
        let (at, turned) = ((TOP + BOTTOM) / 2.0, "transform=\"rotate(-90 18");
        let turned = format!("{turned} {at})\"");
        canvas.label((18.0, at), "middle", &turned, &self.y.title);
    }

    fn draw(
        &self,
        canvas: &mut Canvas,
        series: &Series,
        (x, y): (&Mapping, &Mapping),
        legend: &mut u32,
    ) {
        let places: Vec<(f64, f64)> = (series.points.iter())
            .map(|point| (x.at(point.0), y.at(point.1)))
            .collect();
        for pair in places.windows(2) {
            canvas.line(pair[0], pair[1], series.color);
        }
        for (x, y) in &places {
            let _ = writeln!(
                canvas.text,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{}\"/>",
                series.color
            );
        }
        if places.len() != 1 {
            let at = TOP + 12.0 + 18.0 * f64::from(*legend);
            canvas.rectangle((LEFT + 12.0, at - 9.0), (10.0, 10.0), series.color);
            canvas.label((LEFT + 28.0, at), "start", "", &series.label);
            *legend += 1;
        }
    }

    /// Labels of series of one point.
    fn name_points(&self, canvas: &mut Canvas, (x, y): (&Mapping, &Mapping)) {
        let place = |point: &(f64, f64)| (x.at(point.0), y.at(point.1));
        let points = self.series.iter().flat_map(|series| &series.points);
        let points: Vec<(f64, f64)> = points.map(place).collect();
        let mut labels = Labels::new((LEFT, RIGHT), &points);
        for series in &self.series {
            if let [point] = &series.points[..] {
                let anchor = labels.place(place(point), &series.label);
                canvas.label(anchor.at, anchor.side, "", &series.label);
            }
        }
    }
}

impl Bars {
    /// The document, or nothing if there are no bars.
    pub(crate) fn render(&self) -> Option<String> {
        const BAR: f64 = 20.0;
        const GAP: f64 = 30.0;
        const START: f64 = 200.0;
        const ROOM: f64 = 400.0;
        let bars: usize = self.groups.iter().map(|(_, bars)| bars.len()).sum();
        if bars == 0 {
            return None;
        }
        let height = TOP + GAP * self.groups.len() as f64 + BAR * bars as f64 + 12.0;
        let mut canvas = Canvas::new(height, &self.title);
        let mut at = TOP;
        for (group, bars) in &self.groups {
            canvas.label((16.0, at + 18.0), "start", "font-weight=\"600\"", group);
            at += GAP;
            let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
            for bar in bars {
                let length = (bar.value / most).max(0.0) * ROOM;
                canvas.label((START - 8.0, at + 12.0), "end", "", &bar.label);
                canvas.rectangle((START, at), (length, BAR - 5.0), bar.color);
                let end = (START + length + 6.0, at + 12.0);
                canvas.label(end, "start", "", &bar.text);
                at += BAR;
            }
        }
        Some(canvas.finish())
    }
}

/// A tick as a reader sees it.
fn short(value: f64) -> String {
    let text = match value {
        _ if value >= 1e6 => format!("{}M", value / 1e6),
        _ if value >= 1e3 => format!("{}k", value / 1e3),
        _ => format!("{value:.3}"),
    };
    match text.split_once('.') {
        Some(_) if !text.ends_with(['k', 'M']) => {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => text,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale) -> Axis {
        Axis {
            title: String::from("a < b"),
            scale,
        }
    }

    fn plot(points: &[(f64, f64)]) -> Plot {
        Plot {
            title: String::from("Title"),
            x: axis(Scale::Logarithmic),
            y: axis(Scale::Linear),
            series: vec![Series {
                label: String::from("one & only"),
                color: "#123456",
                points: points.to_vec(),
            }],
        }
    }

    #[test]
    fn points_are_marked_and_joined() {
        let svg = plot(&[(1.0, 2.0), (10.0, 3.0)]).render().unwrap();
        assert_eq!(svg.matches("<circle ").count(), 2);
        assert_eq!(svg.matches("stroke=\"#123456\"").count(), 1);
        assert!(svg.contains("one &amp; only") && svg.contains("a &lt; b"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(plot(&[]).render(), None);
    }

    #[test]
    fn a_point_at_the_edge_has_its_label_inside() {
        let mut both = plot(&[(1.0, 1.0)]);
        both.series.push(both.series[0].clone());
        both.series[1].points = vec![(1000.0, 1.0)];
        let svg = both.render().unwrap();
        let labels = svg.lines().filter(|line| line.contains("one &amp; only"));
        let anchors: Vec<bool> = labels.map(|line| line.contains("\"end\"")).collect();
        assert_eq!(anchors, [false, true]);
    }

    #[test]
    fn ticks_are_round_and_within_the_limits() {
        let ticks = Mapping::new(Scale::Logarithmic, &[1.0, 30.0], 0.0, 1.0).ticks();
        assert_eq!(ticks, [1.0, 2.0, 5.0, 10.0, 20.0]);
        let ticks = Mapping::new(Scale::Linear, &[430.0], 0.0, 1.0).ticks();
        assert_eq!(ticks, [0.0, 100.0, 200.0, 300.0, 400.0]);
        let texts = [1500.0, 2e6, 0.5, 10.0].map(short);
        assert_eq!(texts, ["1.5k", "2M", "0.5", "10"]);
    }

    #[test]
    fn the_longest_bar_of_each_group_has_the_full_length() {
        let bar = |value| Bar {
            label: String::from("x"),
            color: "#000",
            value,
            text: String::from("v"),
        };
        let bars = Bars {
            title: String::from("T"),
            groups: vec![
                (String::from("g"), vec![bar(1.0), bar(2.0)]),
                (String::from("h"), vec![bar(10.0)]),
            ],
        };
        let svg = bars.render().unwrap();
        assert_eq!(svg.matches("width=\"400.0\"").count(), 2);
        assert_eq!(svg.matches("width=\"200.0\"").count(), 1);
        let none = Bars {
            title: String::new(),
            groups: Vec::new(),
        };
        assert_eq!(none.render(), None);
    }
}
