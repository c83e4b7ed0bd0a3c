//! Decoders of other crates, kept from ending the process and from saying what is in a file.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use super::DecodeError;

/// The crates whose log records may quote files: a program that ingests files of patients leaves them out of its log, whatever
/// its user asks for.
pub const UNLOGGED: [&str; 7] = [
    "dicom_core",
    "dicom_encoding",
    "dicom_object",
    "dicom_parser",
    "dicom_transfer_syntax_registry",
    "hayro_jpeg2000",
    "image",
];

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Turns a panic of a decoder into an error of the file. Its words, which may quote the file, are not printed.
pub(crate) fn guarded<T>(
    format: &'static str,
    decode: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                others(panic);
            }
        }));
    });
    IS_GUARDED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    IS_GUARDED.set(false);
    outcome.unwrap_or(Err(DecodeError::Panicked { format }))
}
