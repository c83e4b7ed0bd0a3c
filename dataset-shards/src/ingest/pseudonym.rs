//! Pseudonyms of patients and groups.

use std::fmt;

/// Set in the environment by whoever runs an ingest of real patients, and kept outside the store.
const VARIABLE: &str = "VISMAE_PSEUDONYM_KEY";
/// Names a file that holds it.
const FILE_VARIABLE: &str = "VISMAE_PSEUDONYM_KEY_FILE";
/// Fewest characters of a secret.
const SECRET_MIN: usize = 16;
/// Turns a secret text into a key; not used for anything else.
const CONTEXT: &str = "vismae 2026 pseudonym key v1";
/// Known to everyone, so pseudonyms made with it can be guessed from a list of patient ids.
const DEVELOPMENT_SECRET: &str = "vismae development key: not for real patients";

/// The environment gives no usable key.
#[derive(Debug, thiserror::Error)]
pub enum PseudonymKeyError {
    /// It is too easily guessed.
    #[error(
        "`{variable}` gives a secret of {characters} characters, expected {SECRET_MIN} or more, as `openssl rand -hex 32` makes"
    )]
    Short {
        /// The variable.
        variable: &'static str,
        /// Its characters.
        characters: usize,
    },
    /// The file can't be read.
    #[error("the file `{file}` of `{FILE_VARIABLE}` cannot be read")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The secret that pseudonyms are keyed by. Equal keys give equal pseudonyms over runs and corpora; without the key a
/// pseudonym cannot be checked against a guessed id.
#[derive(Clone)]
pub struct PseudonymKey([u8; 32]);

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(..)")
    }
}

impl PseudonymKey {
    /// A key made of a secret text.
    pub fn from_secret(secret: &str) -> Self {
        Self(blake3::derive_key(CONTEXT, secret.as_bytes()))
    }

    /// The key of `VISMAE_PSEUDONYM_KEY`, or of the file that `VISMAE_PSEUDONYM_KEY_FILE` names, or, with a warning, the
    /// development key that is written in this program.
    ///
    /// # Errors
    /// [`PseudonymKeyError`]: a secret that can be guessed protects nobody.
    pub fn from_environment() -> Result<Self, PseudonymKeyError> {
        // A secret that is no text is a secret too, and must not be taken for none.
        let set = |name| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
            Some(value.to_string_lossy().into_owned())
        };
        let secret = match (set(VARIABLE), set(FILE_VARIABLE)) {
            (Some(secret), _) => Some((VARIABLE, secret)),
            (None, Some(file)) => {
                let read = std::fs::read_to_string(&file).map_err(|source| PseudonymKeyError::File { file, source })?;
                Some((FILE_VARIABLE, read.trim_end().to_owned()))
            }
            (None, None) => None,
        };
        let Some((variable, secret)) = secret else {
            tracing::warn!(
                variable = VARIABLE,
                "no pseudonym key is set: the development key is used, which is public and not for real patients"
            );
            return Ok(Self::from_secret(DEVELOPMENT_SECRET));
        };
        match secret.chars().count() {
            SECRET_MIN.. => Ok(Self::from_secret(&secret)),
            characters => Err(PseudonymKeyError::Short { variable, characters }),
        }
    }

    /// What a file is called where its name may not be: names of files and folders name patients. Of 16 hex digits.
    pub(super) fn alias(&self, source: &str, file: &str) -> String {
        self.pseudonym(&["file name", source, file])[..16].to_owned()
    }

    /// What hashes under this key; whoever uses it begins with a word of its own.
    pub(super) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }

    /// The pseudonym of an identity, of 32 hex digits. Parts are kept apart: `("ab", "c")` is not `("a", "bc")`.
    pub(super) fn pseudonym(&self, parts: &[&str]) -> String {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_repeat_under_one_key_and_differ_under_another() {
        let (one, other) = (PseudonymKey::from_secret("one"), PseudonymKey::from_secret("other"));
        assert_eq!(one.pseudonym(&["patient", "p1"]), one.pseudonym(&["patient", "p1"]));
        assert_ne!(one.pseudonym(&["patient", "p1"]), other.pseudonym(&["patient", "p1"]));
        assert_ne!(one.pseudonym(&["ab", "c"]), one.pseudonym(&["a", "bc"]));
        assert_eq!(one.pseudonym(&[]).len(), 32);
    }

    #[test]
    fn a_key_is_never_shown() {
        assert_eq!(format!("{:?}", PseudonymKey::from_secret("one")), "PseudonymKey(..)");
    }
}
