//! Patch sites: calls that are off until somebody attaches a hook.

use super::{NAMESPACE_SITE, Translator};
use crate::sites::SiteKind;
use nopal_ir::{CallConv, ExtFunc, ExternalName, FuncRef, Signature};

impl Translator<'_> {
    /// A site at the current instruction where a hook finds the values in `state.args`.
    pub(super) fn site(&mut self, kind: SiteKind) {
        let callee = self.site_callee(kind);
        let observe = &self.state.args;
        self.b.patchable_call(callee, &[], self.offset, observe);
    }

    fn site_callee(&mut self, kind: SiteKind) -> FuncRef {
        let kind = kind as usize;
        if let Some(callee) = self.state.site_callees[kind] {
            return callee;
        }
        let func = &mut self.b.func;
        let known = self.state.site_callees.iter().flatten().next();
        let signature = match known {
            Some(&other) => func.ext_func(other).signature,
            None => func.import_signature(Signature::new(CallConv::PreserveAll)),
        };
        let callee = func.import_function(ExtFunc {
            name: ExternalName::User {
                namespace: NAMESPACE_SITE,
                index: kind as u32,
            },
            signature,
            colocated: true,
            patchable: true,
        });
        self.state.site_callees[kind] = Some(callee);
        callee
    }
}
