//! `nopal filetest`.

use crate::args::FiletestArgs;
use crate::failure::Failure;
use crate::output;
use nopal_filetest::Options;
use std::io::Write;

/// Test files; the exit code says whether anything failed.
pub(crate) fn run(args: &FiletestArgs) -> Result<i32, Failure> {
    let options = Options { bless: args.bless };
    let report = nopal_filetest::run(&args.paths, &options).map_err(Failure::Usage)?;
    let text = match args.json {
        true => format!("{:#}\n", report.to_json()),
        false => report.to_text(),
    };
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).map_err(output::failure)?;
    Ok(i32::from(report.summary().failed > 0))
}
