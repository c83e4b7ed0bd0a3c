//! Values of this program in the store, for this program: compressed, and refused when a single byte is not as it was written.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What every sealed value begins with. The number is raised whenever a type that is sealed changes.
const MAGIC: &[u8; 8] = b"vismae\x00\x01";
/// Bytes of the hash behind it.
const HASH: usize = 32;
/// Most bytes that a value may unfold to.
const UNFOLDED_MAX: usize = 2 << 30;
/// The lowest level: what is sealed is read again soon.
const ZSTD_LEVEL: i32 = 1;

/// The bytes are no value of this version of the program, or are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not written by this version of vismae, or damaged since")]
pub(super) struct NotSealed;

/// The value as bytes: the magic, the BLAKE3 of what follows, the compressed value.
pub(super) fn seal(value: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let plain = postcard::to_stdvec(value).map_err(std::io::Error::other)?;
    let body = zstd::bulk::compress(&plain, ZSTD_LEVEL)?;
    Ok([MAGIC.as_slice(), blake3::hash(&body).as_bytes(), &body].concat())
}

/// The value that was sealed.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotSealed> {
    let body = bytes.get(MAGIC.len() + HASH..).ok_or(NotSealed)?;
    let intact = bytes.starts_with(MAGIC) && blake3::hash(body).as_bytes() == &bytes[MAGIC.len()..MAGIC.len() + HASH];
    if !intact {
        return Err(NotSealed);
    }
    let size = zstd::zstd_safe::get_frame_content_size(body).ok().flatten().and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|&size| size <= UNFOLDED_MAX).ok_or(NotSealed)?;
    let plain = zstd::bulk::decompress(body, size).map_err(|_| NotSealed)?;
    postcard::from_bytes(&plain).map_err(|_| NotSealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_any_other_byte_is_noticed() {
        let value = vec![("a".to_owned(), 7_u32), (String::new(), u32::MAX)];
        let sealed = seal(&value).unwrap();
        assert_eq!(unseal(&sealed), Ok(value));
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(unseal::<Vec<(String, u32)>>(&flipped), Err(NotSealed), "byte {at}");
            assert_eq!(unseal::<Vec<(String, u32)>>(&sealed[..at]), Err(NotSealed), "cut at {at}");
        }
    }
}
