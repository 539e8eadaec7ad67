//! Passwords of userlists, stored as `crypt(3)` hashes (manual §12.2 `user … password`).
//!
//! The system's own `crypt_r` is asked, found when first needed, so that every scheme the system knows works: yescrypt,
//! which is Debian's default, as well as SHA-512. Where there is no libcrypt, no such password is right. Clear passwords
//! are not this file's business.
#![expect(
    unsafe_code,
    reason = "libcrypt is loaded at run time; its one function is called here"
)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::OnceLock;

/// Whether `password` is the one that `hash` was made of. Slow by design: tens of milliseconds.
pub(super) fn verify(hash: &str, password: &[u8]) -> bool {
    let (Some(crypt), Ok(setting), Ok(phrase)) =
        (crypt_r(), CString::new(hash), CString::new(password))
    else {
        return false;
    };
    let mut scratch = vec![0_u128; SCRATCH / size_of::<u128>()];
    // SAFETY: both strings end in NUL and outlive the call; the scratch area is zeroed and aligned, as the interface asks, and larger
    // than every libcrypt's `struct crypt_data`.
    let made = unsafe {
        crypt(
            phrase.as_ptr(),
            setting.as_ptr(),
            scratch.as_mut_ptr().cast(),
        )
    };
    if made.is_null() {
        return false;
    }
    // SAFETY: a non-null answer is a NUL-terminated string inside the scratch area, which is still alive.
    let made = unsafe { CStr::from_ptr(made) };
    made.to_bytes() == hash.as_bytes()
}

type Crypt = unsafe extern "C" fn(*const c_char, *const c_char, *mut c_void) -> *mut c_char;

fn crypt_r() -> Option<Crypt> {
    static FOUND: OnceLock<Option<Crypt>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        LIBRARIES.iter().find_map(|library| {
            // SAFETY: the name ends in NUL; loading libcrypt runs no code that minds the moment.
            let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
            if handle.is_null() {
                return None;
            }
            // SAFETY: the handle is a loaded library's, the name ends in NUL.
            let symbol = unsafe { libc::dlsym(handle, c"crypt_r".as_ptr()) };
            // SAFETY: a symbol of that name in libcrypt has the documented signature; the library is never unloaded.
            (!symbol.is_null())
                .then(|| unsafe { std::mem::transmute::<*mut c_void, Crypt>(symbol) })
        })
    })
}

/// The names libcrypt goes by.
const LIBRARIES: [&CStr; 3] = [c"libcrypt.so.1", c"libcrypt.so.2", c"libcrypt.so"];

/// libxcrypt's `struct crypt_data` has 32 KiB, glibc's old one 128 KiB and a little.
const SCRATCH: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_schemes_are_verified() {
        if crypt_r().is_none() {
            return;
        }
        let sha512 = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
        assert!(verify(sha512, b"Hello world!"));
        assert!(!verify(sha512, b"Hello world"));
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        assert!(!verify("*", b""));
        assert!(!verify("", b""));
        assert!(!verify("$6$salt", b"nul\0inside"));
    }
}
