//! How compile time grows with the size of a module, and with that of a function.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::corpus::{Program, compile_only};
use crate::engines::{Engine, id};
use crate::measure::{Course, Plan, RoundDone};
use crate::stats::{median, slope};
use crate::synthetic::{Shape, module};

/// The engines that take part.
pub(crate) const ENGINES: [&str; 3] = [id::NOPAL, id::CRANELIFT_SPEED, id::WINCH];

/// Bytes of a function in the series over modules, and its locals.
const TYPICAL_FUNCTION: (usize, u32) = (300, 10);

/// Locals of the functions that grow without getting more of them.
const FEW_LOCALS: u32 = 24;

/// Bytes for which a function gets another local, where their number grows too.
const BYTES_PER_LOCAL: usize = 256;

/// Modules that differ in one quantity, which doubles from each to the next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) shapes: Vec<Shape>,
}

/// The series, each of this many doublings at most.
pub(crate) fn series(doublings: u32) -> [Series; 3] {
    let steps = |limit: u32| (0..=doublings.min(limit)).map(|step| 1 << step);
    let (body_bytes, locals) = TYPICAL_FUNCTION;
    let modules = steps(6).map(|factor| Shape {
        functions: 250 * factor as u32,
        body_bytes,
        locals,
    });
    let function = |body_bytes: usize, locals: u32| Shape {
        functions: 1,
        body_bytes,
        locals,
    };
    let sizes = || steps(8).map(|factor: usize| 4096 * factor);
    [
        Series {
            id: "functions",
            title: "more functions",
            shapes: modules.collect(),
        },
        Series {
            id: "function-size",
            title: "one larger function, 24 locals",
            shapes: sizes().map(|size| function(size, FEW_LOCALS)).collect(),
        },
        Series {
            id: "function-size-and-locals",
            title: "one larger function, a local for every 256 bytes",
            shapes: sizes()
                .map(|size| function(size, (size / BYTES_PER_LOCAL) as u32))
                .collect(),
        },
    ]
}

/// A series with what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GrowthReport {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) points: Vec<Point>,
    /// By engine: the exponent e for which compile time grows as size to the power of e, fitted to all points.
    pub(crate) exponents: BTreeMap<&'static str, f64>,
    /// By engine: why points are missing.
    pub(crate) problems: BTreeMap<&'static str, String>,
}

/// One module of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Point {
    pub(crate) functions: u32,
    pub(crate) function_bytes: usize,
    pub(crate) locals: u32,
    pub(crate) code_section_bytes: usize,
    /// By engine: processor time, the median of the samples.
    pub(crate) compile_seconds: BTreeMap<&'static str, f64>,
}

/// Measures one series. Each round goes through all sizes: a drift of the machine's speed falls on all of them, not on the exponent.
pub(crate) fn run(
    series: &Series,
    engines: &[Box<dyn Engine>],
    plan: Plan,
    mut progress: impl FnMut(RoundDone),
) -> Result<GrowthReport, String> {
    let programs = series.shapes.iter().map(|&shape| {
        let name = format!("{} × {} bytes", shape.functions, shape.body_bytes);
        compile_only(name, module(shape), "made up")
    });
    let programs = programs.collect::<Result<Vec<Program>, String>>()?;
    let mut courses: Vec<Course<'_>> = programs
        .iter()
        .map(|program| Course::new(program, engines, plan))
        .collect();
    while let Some(done) = round(&mut courses) {
        progress(done);
    }
    let mut points = Vec::new();
    let mut problems = BTreeMap::new();
    for ((course, &shape), program) in courses.into_iter().zip(&series.shapes).zip(&programs) {
        let mut point = Point {
            functions: shape.functions,
            function_bytes: shape.body_bytes,
            locals: shape.locals,
            code_section_bytes: program.code_section_bytes,
            compile_seconds: BTreeMap::new(),
        };
        for (engine, result) in engines.iter().zip(course.finish()) {
            match result {
                Ok(samples) => {
                    let seconds = median(&samples.compile.concat());
                    (point.compile_seconds).extend(seconds.map(|time| (engine.id(), time)));
                }
                Err(problem) => {
                    let message = format!("{}: {}", program.name, problem.message);
                    problems.entry(engine.id()).or_insert(message);
                }
            }
        }
        points.push(point);
    }
    let exponents = engines
        .iter()
        .filter_map(|engine| Some((engine.id(), exponent(&points, engine.id())?)));
    Ok(GrowthReport {
        id: series.id,
        title: series.title,
        exponents: exponents.collect(),
        points,
        problems,
    })
}

/// One round of all sizes that still take part.
fn round(courses: &mut [Course<'_>]) -> Option<RoundDone> {
    let done = courses.iter_mut().filter_map(Course::round);
    done.reduce(|all, one| RoundDone {
        round: all.round.max(one.round),
        engines: all.engines.max(one.engines),
        elapsed: all.elapsed + one.elapsed,
    })
}

fn exponent(points: &[Point], engine: &str) -> Option<f64> {
    let logarithms: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|point| {
            let seconds = point.compile_seconds.get(engine)?;
            Some(((point.code_section_bytes as f64).ln(), seconds.ln()))
        })
        .collect();
    slope(&logarithms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines;

    #[test]
    fn a_series_doubles_at_each_step() {
        for series in series(u32::MAX) {
            for pair in series.shapes.windows(2) {
                let bytes = |shape: Shape| shape.functions as usize * shape.body_bytes;
                assert_eq!(2 * bytes(pair[0]), bytes(pair[1]), "{}", series.id);
            }
        }
        let largest = series(u32::MAX)[1].shapes.last().copied().unwrap();
        assert_eq!(largest.body_bytes, 1 << 20);
    }

    #[test]
    fn exponents_are_those_of_the_growth() {
        let points: Vec<Point> = [1000usize, 2000, 4000]
            .into_iter()
            .map(|bytes| {
                let times = [
                    (id::NOPAL, bytes as f64),
                    (id::WINCH, (bytes as f64).powi(2)),
                ];
                Point {
                    functions: 1,
                    function_bytes: bytes,
                    locals: 0,
                    code_section_bytes: bytes,
                    compile_seconds: times.into(),
                }
            })
            .collect();
        assert!((exponent(&points, id::NOPAL).unwrap() - 1.0).abs() < 1e-9);
        assert!((exponent(&points, id::WINCH).unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(exponent(&points, id::CRANELIFT_SPEED), None);
        assert_eq!(exponent(&points[..1], id::NOPAL), None);
    }

    #[test]
    fn every_engine_has_every_point() {
        let (engines, refusals) = engines::all(|id| ENGINES.contains(&id));
        assert!(refusals.is_empty(), "{refusals:?}");
        for series in series(1) {
            let mut seen = 0;
            let report = run(&series, &engines, Plan::exactly(1), |_| seen += 1).unwrap();
            assert_eq!((seen, report.points.len()), (1, 2));
            assert_eq!(report.problems, BTreeMap::new());
            for point in &report.points {
                assert_eq!(point.compile_seconds.len(), ENGINES.len());
                assert!(
                    point.code_section_bytes >= point.functions as usize * point.function_bytes
                );
            }
        }
    }
}
