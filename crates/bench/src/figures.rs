//! The figures that Nopal is judged by, from the rounds of the engines.

use serde::Serialize;

use crate::engines::id;
use crate::report::{Measured, ModuleReport};
use crate::stats::geometric_mean;

/// Ratios of one module, or their geometric means. `None` if one of the two sides was not measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Compile time of Cranelift `speed` / ours: higher is better.
    pub(crate) compile_speedup: Option<f64>,
    /// Compile time of Winch / ours: higher is better.
    pub(crate) compile_vs_winch: Option<f64>,
    /// Our code bytes / those of Cranelift `speed`: lower is better.
    pub(crate) code_size_ratio: Option<f64>,
    /// Our run time with sites compiled in and off / that of Cranelift `speed`: lower is better.
    pub(crate) run_ratio: Option<f64>,
    /// Run time with sites off / without sites.
    pub(crate) sites_off_ratio: Option<f64>,
    /// Run time with a count hook on every function entry / with sites off.
    pub(crate) count_hook_ratio: Option<f64>,
    /// Bytes of our side tables / of our code: lower is better.
    pub(crate) side_tables_ratio: Option<f64>,
}

/// Reads one figure of the struct.
pub(crate) type Field = fn(&Figures) -> Option<f64>;

/// The figures by name, in the order of the tables.
pub(crate) const FIELDS: [(&str, Field); 7] = [
    ("compile_speedup", |figures| figures.compile_speedup),
    ("compile_vs_winch", |figures| figures.compile_vs_winch),
    ("code_size_ratio", |figures| figures.code_size_ratio),
    ("run_ratio", |figures| figures.run_ratio),
    ("sites_off_ratio", |figures| figures.sites_off_ratio),
    ("count_hook_ratio", |figures| figures.count_hook_ratio),
    ("side_tables_ratio", |figures| figures.side_tables_ratio),
];

/// What ratios are taken of: one number a round.
pub(crate) type Quantity = fn(&Measured) -> Option<Vec<f64>>;

impl Figures {
    /// The figures of one module.
    pub(crate) fn of(module: &ModuleReport) -> Figures {
        let compile: Quantity = Measured::compile_rounds;
        let run: Quantity = Measured::run_rounds;
        Figures {
            compile_speedup: module.ratio(compile, id::CRANELIFT_SPEED, id::NOPAL),
            compile_vs_winch: module.ratio(compile, id::WINCH, id::NOPAL),
            code_size_ratio: module.ratio(Measured::code_size, id::NOPAL, id::CRANELIFT_SPEED),
            run_ratio: module.ratio(run, id::NOPAL, id::CRANELIFT_SPEED),
            sites_off_ratio: module.ratio(run, id::NOPAL, id::NOPAL_NO_SITES),
            count_hook_ratio: module.ratio(run, id::NOPAL_COUNT, id::NOPAL),
            side_tables_ratio: module.engines.get(id::NOPAL).and_then(|measured| {
                Some(measured.side_table_bytes? as f64 / measured.code_bytes? as f64)
            }),
        }
    }

    /// The geometric mean of each figure over the modules that have it.
    pub(crate) fn means(modules: &[ModuleReport]) -> Figures {
        let mean = |field: Field| {
            geometric_mean(modules.iter().filter_map(|module| field(&module.figures)))
        };
        Figures {
            compile_speedup: mean(|figures| figures.compile_speedup),
            compile_vs_winch: mean(|figures| figures.compile_vs_winch),
            code_size_ratio: mean(|figures| figures.code_size_ratio),
            run_ratio: mean(|figures| figures.run_ratio),
            sites_off_ratio: mean(|figures| figures.sites_off_ratio),
            count_hook_ratio: mean(|figures| figures.count_hook_ratio),
            side_tables_ratio: mean(|figures| figures.side_tables_ratio),
        }
    }
}
