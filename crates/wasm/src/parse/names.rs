//! The name section.

use crate::module_info::ModuleInfo;
use wasmparser::{Name, NameSectionReader};

/// Take the names from a name section, up to the first malformed one: like all custom sections it
/// has no bearing on whether the module is valid.
pub(super) fn read_names(section: NameSectionReader<'_>, info: &mut ModuleInfo) {
    for name in section {
        match name {
            Ok(Name::Module { name, .. }) => info.module_name = Some(name.into()),
            Ok(Name::Function(names)) => {
                for naming in names {
                    let Ok(naming) = naming else { break };
                    info.func_names.push((naming.index, naming.name.into()));
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    info.func_names.sort_by_key(|&(index, _)| index);
    info.func_names.dedup_by_key(|&mut (index, _)| index);
}
