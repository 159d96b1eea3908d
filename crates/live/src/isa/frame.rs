//! What a call hook can do with a guest, whatever its registers are.

use super::SiteFrame;

impl SiteFrame {
    /// Reads a value in the guest's frame, at `offset` bytes from its frame pointer.
    ///
    /// # Safety
    /// The frame pointer must be one, and `[fp + offset, + size of T)` must be memory of the guest's
    /// frame that holds a valid `T`.
    pub unsafe fn slot<T: Copy>(&self, offset: i32) -> T {
        let address = self.fp().wrapping_add_signed(offset as isize);
        // SAFETY: the caller's promise.
        unsafe { (address as *const T).read_unaligned() }
    }

    /// Writes a value in the guest's frame, at `offset` bytes from its frame pointer.
    ///
    /// # Safety
    /// As for [`slot`](Self::slot); and the guest must stand the change.
    pub unsafe fn set_slot<T: Copy>(&mut self, offset: i32, value: T) {
        let address = self.fp().wrapping_add_signed(offset as isize);
        // SAFETY: the caller's promise.
        unsafe { (address as *mut T).write_unaligned(value) };
    }
}
