//! Where labels of points go, so that they cover neither each other nor points.

/// Half the size of what marks a point.
const MARK: f64 = 5.0;
/// Of a line of text, as drawn by most.
const CHARACTER: f64 = 6.6;
const ASCENT: f64 = 10.0;
const DESCENT: f64 = 3.0;

/// Where a label begins or ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Anchor {
    pub(super) at: (f64, f64),
    /// The value of SVG's `text-anchor`.
    pub(super) side: &'static str,
}

#[derive(Debug, Clone, Copy)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    fn overlaps(&self, other: &Area) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn of_label(anchor: Anchor, text: &str) -> Area {
        let (x, y) = anchor.at;
        let width = CHARACTER * text.chars().count() as f64;
        let left = if anchor.side == "end" { x - width } else { x };
        Area {
            left,
            right: left + width,
            top: y - ASCENT,
            bottom: y + DESCENT,
        }
    }
}

/// The labels of a plot.
pub(super) struct Labels {
    /// Left and right ends of the plot.
    limits: (f64, f64),
    taken: Vec<Area>,
}

impl Labels {
    /// Of a plot with these points.
    pub(super) fn new(limits: (f64, f64), points: &[(f64, f64)]) -> Labels {
        let mark = |&(x, y): &(f64, f64)| Area {
            left: x - MARK,
            right: x + MARK,
            top: y - MARK,
            bottom: y + MARK,
        };
        Labels {
            limits,
            taken: points.iter().map(mark).collect(),
        }
    }

    /// The place of a point's label: the first that is free, or else that next to the point.
    pub(super) fn place(&mut self, (x, y): (f64, f64), text: &str) -> Anchor {
        const HEIGHTS: [f64; 7] = [-6.0, 4.0, 15.0, -20.0, 28.0, -34.0, 42.0];
        let places = HEIGHTS.iter().flat_map(|height| {
            let side = |distance: f64, side| Anchor {
                at: (x + distance, y + height),
                side,
            };
            [side(8.0, "start"), side(-8.0, "end")]
        });
        let (left, right) = self.limits;
        let mut inside = places.filter(|&place| {
            let area = Area::of_label(place, text);
            left <= area.left && area.right <= right
        });
        let next = Anchor {
            at: (x + 8.0, y - 6.0),
            side: "start",
        };
        let nearest = inside.clone().next().unwrap_or(next);
        let free = inside.find(|&place| {
            let area = Area::of_label(place, text);
            !self.taken.iter().any(|taken| taken.overlaps(&area))
        });
        let place = free.unwrap_or(nearest);
        self.taken.push(Area::of_label(place, text));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cover_neither_points_nor_each_other() {
        let points = [
            (100.0, 100.0),
            (130.0, 96.0),
            (100.0, 100.0),
            (395.0, 100.0),
        ];
        let mut labels = Labels::new((0.0, 400.0), &points);
        let text = "a label";
        let places = points.map(|point| labels.place(point, text));
        assert_eq!(places[3].side, "end");
        for (index, area) in labels.taken.iter().enumerate() {
            let later = labels.taken[index + 1..].iter().enumerate();
            // The first and the third point are one.
            let covered = later.filter(|(_, other)| area.overlaps(other)).count();
            assert_eq!(covered, usize::from(index == 0));
            assert!(0.0 <= area.left && area.right <= 400.0);
        }
    }

    #[test]
    fn where_nothing_is_free_a_label_is_beside_its_point() {
        let mut labels = Labels::new((0.0, 30.0), &[]);
        let place = labels.place((15.0, 50.0), "too long for it");
        assert_eq!(place.at, (23.0, 44.0));
        let mut labels = Labels::new((0.0, 100.0), &[]);
        for _ in 0..15 {
            let place = labels.place((50.0, 50.0), "x");
            assert_eq!((place.at.0 - 50.0).abs(), 8.0);
        }
    }
}
