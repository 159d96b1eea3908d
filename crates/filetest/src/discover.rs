//! Which files to test.

use std::path::{Path, PathBuf};

/// The files that paths stand for, each folder's in the order of their names.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut out = Vec::new();
    for path in paths {
        let data = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
        if data.is_dir() {
            walk(path, &mut out, 0)?;
        } else {
            out.push(path.clone());
        }
    }
    Ok(out)
}

fn walk(folder: &Path, out: &mut Vec<PathBuf>, depth: usize) -> Result<(), String> {
    // Folders that contain themselves through links.
    if depth > 64 {
        return Err(format!("{}: too deep", folder.display()));
    }
    let error = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        entries.push(entry.map_err(error)?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, out, depth + 1)?;
        } else if path.extension().is_some_and(|e| e == "clif") {
            out.push(path);
        }
    }
    Ok(())
}
