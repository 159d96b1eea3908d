//! References: pointers to `VMFuncRef`s, handles of host objects, and 0 for null.

use super::Translator;
use nopal_ir::IntCC;
use wasmparser::HeapType;

impl Translator<'_> {
    pub(super) fn visit_ref_null(&mut self, _ty: HeapType) {
        let null = self.iconst_i64(0);
        self.push(null);
    }

    pub(super) fn visit_ref_is_null(&mut self) {
        let value = self.pop();
        let null = self.iconst_i64(0);
        let is_null = self.b.icmp(IntCC::Equal, value, null);
        self.push_bool(is_null);
    }

    pub(super) fn visit_ref_func(&mut self, index: u32) {
        let number = self.info.func_ref_index[index as usize];
        let number = number.expect("validated as declared");
        let offset = self.info.offsets.func_ref(number);
        let offset = self.iconst_i64(offset.into());
        let reference = self.b.iadd(self.vmctx, offset);
        self.push(reference);
    }
}
