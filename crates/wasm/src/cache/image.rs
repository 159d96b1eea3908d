//! Which build of this crate and of the compiler is running.
//!
//! Versions do not tell builds apart while the code is worked on, nor when a dependency is replaced. The
//! bytes of the program or library that holds the code do. Linkers usually leave a hash of them, the
//! *build id* (`--build-id` of ld, a note in the format of the ELF gABI, "Note Section"); where there
//! is none, what is loaded and never written is hashed.

use libc::{Elf64_Phdr, PF_R, PF_W, PT_LOAD, PT_NOTE, c_int, c_void, dl_phdr_info};
use std::sync::OnceLock;

/// The type of the note that holds the build id, and its owner.
const NT_GNU_BUILD_ID: u32 = 3;
const OWNER: &[u8] = b"GNU\0";

/// A number that is another in every other build; none if the loader does not know the code, in which case
/// nothing can be said.
pub(crate) fn identity() -> Option<&'static [u8; 32]> {
    static IDENTITY: OnceLock<Option<[u8; 32]>> = OnceLock::new();
    IDENTITY
        .get_or_init(|| with_image(|image| image.identity()))
        .as_ref()
}

/// The loaded program or library that this code is part of.
struct Image<'a> {
    /// What is to be added to the addresses in the headers.
    base: usize,
    headers: &'a [Elf64_Phdr],
}

/// Apply `f` to the image this code is in.
fn with_image<R>(f: fn(&Image<'_>) -> R) -> Option<R> {
    struct Search<R> {
        f: fn(&Image<'_>) -> R,
        found: Option<R>,
    }
    /// # Safety
    /// Called by `dl_iterate_phdr` with the search given to it.
    unsafe extern "C" fn visit<R>(info: *mut dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
        // SAFETY: the loader passes a valid description, and the search, which is ours alone.
        let (info, search) = unsafe { (&*info, &mut *search.cast::<Search<R>>()) };
        let headers = if info.dlpi_phdr.is_null() {
            &[]
        } else {
            // SAFETY: the loader says that so many headers are there.
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) }
        };
        let image = Image {
            base: info.dlpi_addr as usize,
            headers,
        };
        let here = identity as *const () as usize;
        if !image.contains(here, 1) {
            return 0;
        }
        search.found = Some((search.f)(&image));
        1
    }
    let mut search = Search { f, found: None };
    // SAFETY: the callback does not unwind, and gets the type it expects.
    unsafe { libc::dl_iterate_phdr(Some(visit::<R>), (&raw mut search).cast()) };
    search.found
}

impl Image<'_> {
    /// The addresses of the segments that are in memory and can be read.
    fn loaded(&self) -> impl Iterator<Item = (usize, &Elf64_Phdr)> {
        let loaded = |h: &&Elf64_Phdr| h.p_type == PT_LOAD && h.p_flags & PF_R != 0;
        let headers = self.headers.iter().filter(loaded);
        headers.map(|h| (self.base.wrapping_add(h.p_vaddr as usize), h))
    }

    fn contains(&self, address: usize, len: usize) -> bool {
        self.loaded().any(|(start, header)| {
            let size = header.p_memsz as usize;
            (address.checked_sub(start)).is_some_and(|at| at <= size && len <= size - at)
        })
    }

    fn identity(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        match self.build_id() {
            Some(id) => hasher.update(b"build id").update(id),
            None => hasher.update(b"contents").update(&self.contents_hash()),
        };
        *hasher.finalize().as_bytes()
    }

    /// The build id that the linker left.
    fn build_id(&self) -> Option<&[u8]> {
        let notes = self.headers.iter().filter(|h| h.p_type == PT_NOTE);
        notes
            .filter_map(|h| self.bytes(self.base.wrapping_add(h.p_vaddr as usize), h))
            .find_map(find_build_id)
    }

    /// A hash of everything that is loaded and not to be written to.
    fn contents_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (start, header) in self.loaded().filter(|(_, h)| h.p_flags & PF_W == 0) {
            if let Some(bytes) = self.bytes(start, header) {
                hasher.update(bytes);
            }
        }
        *hasher.finalize().as_bytes()
    }

    /// What is in memory for a header, if it is in one of the readable segments.
    fn bytes(&self, start: usize, header: &Elf64_Phdr) -> Option<&[u8]> {
        let len = header.p_memsz as usize;
        // SAFETY: inside a segment that is mapped for reading as long as the code that is running.
        // Callers ask for segments that are not written to.
        (self.contains(start, len))
            .then(|| unsafe { std::slice::from_raw_parts(start as *const u8, len) })
    }
}

/// The build id in a sequence of notes. Each is three words, sizes of owner and contents and the
/// type, then these two, padded to a multiple of four.
fn find_build_id(mut notes: &[u8]) -> Option<&[u8]> {
    loop {
        let (words, rest) = notes.split_at_checked(12)?;
        let word = |n: usize| {
            let bytes = words[n * 4..n * 4 + 4].try_into();
            bytes.map_or(0, u32::from_le_bytes)
        };
        let (owner, rest) = padded(rest, word(0))?;
        let (contents, rest) = padded(rest, word(1))?;
        if word(2) == NT_GNU_BUILD_ID && owner == OWNER && !contents.is_empty() {
            return Some(contents);
        }
        notes = rest;
    }
}

/// The first `len` bytes and what follows their padding.
fn padded(bytes: &[u8], len: u32) -> Option<(&[u8], &[u8])> {
    let len = len as usize;
    let contents = bytes.get(..len)?;
    // The last one need not be padded.
    let rest = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    Some((contents, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_one_identity() {
        let identity = identity().expect("the loader knows this code");
        assert_eq!(
            with_image(|image| image.identity()).as_ref(),
            Some(identity)
        );
        let contents = with_image(|image| image.contents_hash()).expect("an image");
        assert_eq!(with_image(|image| image.contents_hash()), Some(contents));
        assert_ne!(contents, *blake3::hash(b"").as_bytes());
    }

    #[test]
    fn build_ids_are_found_among_notes() {
        let note = |owner: &[u8], contents: &[u8], kind: u32| {
            let mut note = Vec::new();
            for n in [owner.len() as u32, contents.len() as u32, kind] {
                note.extend_from_slice(&n.to_le_bytes());
            }
            for part in [owner, contents] {
                note.extend_from_slice(part);
                note.resize(note.len().next_multiple_of(4), 0);
            }
            note
        };
        let id = note(OWNER, b"identity", NT_GNU_BUILD_ID);
        let notes = [note(OWNER, b"abi tag", 1), note(b"Go\0", b"x", 3), id].concat();
        assert_eq!(find_build_id(&notes), Some(&b"identity"[..]));
        for len in 0..notes.len() {
            assert_eq!(find_build_id(&notes[..len]), None, "{len}");
        }
        assert_eq!(find_build_id(&[0xff; 64]), None);
    }
}
