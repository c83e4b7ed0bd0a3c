mod served;

use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use serde_json::{Value, json};

use super::*;

/// The SHA-256 of `letmein`.
const LETMEIN: &str = "1c8bfe8f801d79745c4631d09fff36c82aa37fc4cce4fc946683d7b336b63032";

fn access(text: &str) -> Access {
    Access::new(&AccessFile::from_str(text).unwrap(), Path::new("")).unwrap()
}

fn mistake(text: &str) -> String {
    match AccessFile::from_str(text) {
        Err(error) => error.to_string(),
        Ok(file) => Access::new(&file, Path::new("")).unwrap_err().to_string(),
    }
}

#[tokio::test]
async fn a_token_is_known_by_its_hash_until_it_expires() {
    let access = access(&format!(
        "[[token]]\nname = \"ci\"\nsha256 = \"{LETMEIN}\"\ngrants = [\"*:viewer\"]\nexpires = 2027-01-01T00:00:00Z\n"
    ));
    let new_year = SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600);
    let (name, grants) = access.identify("letmein", new_year - Duration::from_secs(1)).await.unwrap();
    assert_eq!((name.as_str(), grants.role("any")), ("token:ci", Some(Role::Viewer)));
    assert_eq!(access.identify("letmein", new_year).await.unwrap_err(), Unknown::Expired("ci".to_owned()));
    assert_eq!(access.identify("letmein ", new_year).await.unwrap_err(), Unknown::Token);
    assert_eq!(access.identify(LETMEIN, new_year).await.unwrap_err(), Unknown::Token, "the hash is no token");
}

#[test]
fn mistakes_of_an_access_file_are_named() {
    let token = |rest: &str| format!("[[token]]\nname = \"ci\"\nsha256 = \"{LETMEIN}\"\n{rest}");
    for (text, expected) in [
        (token("grants = [\"research:root\"]"), "grant `research:root` can't be read, expected `namespace:role`"),
        (
            token("grants = []\nexpires = 2027-01-01"),
            "`expires` of token `ci` is `2027-01-01`, expected a date with time",
        ),
        (token("grants = []\ntoken = \"letmein\""), "unknown field `token`"),
        (format!("{0}\n{0}", token("grants = []")), "the token of `ci` is that of another entry"),
        (LETMEIN.to_owned(), "TOML parse error"),
        ("[[token]]\nname = \"ci\"\nsha256 = \"abc\"\ngrants = []".to_owned(), "64 hexadecimal digits"),
        ("[stores]\nresearch = [\"bucket\"]".to_owned(), "`stores.research` holds `bucket`, expected an URL"),
        ("[limits]\nrequests_per_second = 0".to_owned(), "nonzero"),
        (
            "[oidc]\nissuer = \"i\"\naudience = \"a\"\njwks = \"http://example.org/keys\"".to_owned(),
            "anyone on the way could replace keys",
        ),
    ] {
        let found = mistake(&text);
        assert!(found.contains(expected), "{text}\n{found}");
    }
}

#[test]
fn a_store_lies_below_its_namespaces_prefix_whatever_its_url_looks_like() {
    let access = access(
        "[stores]\nresearch = [\"s3://corpora/research\", \"file:///data/research/\", \"abfss://research@acct.dfs.core.windows.net/\"]\n",
    );
    for inside in [
        "s3://corpora/research",
        "s3://corpora/research/run-1",
        "file:///data/research",
        "s3://corpora/research/./x",
        "s3://corpora/research/x?retry_timeout=5m",
    ] {
        assert_eq!(access.allows_store("research", inside), Ok(()), "{inside}");
    }
    for outside in [
        "s3://corpora",
        "s3://corpora/researchers",
        "s3://corpora/research/../clinic",
        "s3://corpora/research/%2e%2e/clinic",
        "s3://corpora/research/..%2fclinic",
        "s3://other/research",
        "s3://corpora.evil/research",
        "gs://corpora/research",
        "file:///data/research/../clinic",
        "file:///etc",
        "s3://corpora/research?endpoint=https://evil",
        "abfss://clinic@acct.dfs.core.windows.net/",
        "no url",
    ] {
        let problem = access.allows_store("research", outside).unwrap_err();
        assert!(problem.contains("`s3://corpora/research`"), "{outside}: {problem}");
    }
    assert_eq!(access.allows_store("clinic", "s3://anything"), Ok(()), "the file says nothing about it");
}

#[test]
fn a_caller_has_so_many_requests_and_streams() {
    let limits = access("[limits]\nrequests_per_second = 1\nburst = 3\nstreams = 2").limits;
    let granted = (0..10).filter(|_| limits.request("greedy").is_ok()).count();
    assert_eq!(granted, 3);
    assert!(matches!(limits.request("greedy"), Err(Excess::Requests { retry, .. }) if retry <= Duration::from_secs(1)));
    assert_eq!(limits.request("modest"), Ok(()));
    let held = (limits.stream("greedy").unwrap(), limits.stream("greedy").unwrap());
    assert!(matches!(limits.stream("greedy"), Err(Excess::Streams { open: 2, .. })));
    assert!(limits.stream("modest").is_ok());
    drop(held);
    assert!(limits.stream("greedy").is_ok());
}

/// A provider with one key, whose public half lies in a file.
struct Provider {
    folder: tempfile::TempDir,
    key: KeyPair,
}

impl Provider {
    fn new() -> Self {
        let provider =
            Self { folder: tempfile::tempdir().unwrap(), key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap() };
        provider.publish(&json!({ "keys": [provider.jwk("one")] }));
        provider
    }

    fn publish(&self, keys: &Value) {
        std::fs::write(self.folder.path().join("keys.json"), keys.to_string()).unwrap();
    }

    /// An uncompressed point is a byte, then both of its coordinates.
    fn jwk(&self, kid: &str) -> Value {
        use jsonwebtoken::jwk::Jwk;
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        assert_eq!(self.key.der_bytes().len(), 65);
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        jwk
    }

    fn access(&self) -> Access {
        self.access_by("keys.json")
    }

    /// With keys from a file in its folder, or from a URL.
    fn access_by(&self, jwks: &str) -> Access {
        let file = format!(
            "[oidc]\nissuer = \"https://login\"\naudience = \"vismae\"\njwks = \"{jwks}\"\n\
            [[oidc.grant]]\nclaim = \"groups\"\nvalue = \"imaging\"\ngrants = [\"research:submitter\"]\n"
        );
        Access::new(&AccessFile::from_str(&file).unwrap(), self.folder.path()).unwrap()
    }

    fn token(&self, kid: &str, changes: &[(&str, Value)]) -> String {
        let mut claims = json!({
            "iss": "https://login", "aud": "vismae", "sub": "ada", "groups": ["imaging"], "exp": 4_000_000_000_u64,
        });
        for (claim, value) in changes {
            claims[claim] = value.clone();
        }
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &EncodingKey::from_ec_der(&self.key.serialize_der())).unwrap()
    }
}

#[tokio::test]
async fn an_identity_token_gives_what_its_claims_allow() {
    let provider = Provider::new();
    let access = provider.access();
    let now = SystemTime::now();
    let (name, grants) = access.identify(&provider.token("one", &[]), now).await.unwrap();
    assert_eq!(
        (name.as_str(), grants.role("research"), grants.role("clinic")),
        ("oidc:ada", Some(Role::Submitter), None)
    );
    let (_, grants) = access.identify(&provider.token("one", &[("groups", json!("others"))]), now).await.unwrap();
    assert!(grants.is_empty(), "known, and allowed nothing");
}

#[tokio::test]
async fn a_forged_identity_token_is_not_believed() {
    let (provider, stranger) = (Provider::new(), Provider::new());
    let access = provider.access();
    let shared_secret = encode(
        &Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) },
        &json!({ "iss": "https://login", "aud": "vismae", "sub": "ada", "exp": 4_000_000_000_u64 }),
        &EncodingKey::from_secret(provider.jwk("one").to_string().as_bytes()),
    );
    let good = provider.token("one", &[]);
    let unsigned = format!("{}.{}.", "eyJhbGciOiJub25lIn0", good.split('.').nth(1).unwrap());
    for (what, token) in [
        ("another's key", stranger.token("one", &[])),
        ("an unknown key", provider.token("two", &[])),
        ("expired", provider.token("one", &[("exp", json!(1_000_000_000))])),
        ("not valid yet", provider.token("one", &[("nbf", json!(3_900_000_000_u64))])),
        ("another issuer", provider.token("one", &[("iss", json!("https://evil"))])),
        ("another audience", provider.token("one", &[("aud", json!("mail"))])),
        ("a shared secret", shared_secret.unwrap()),
        ("no signature", unsigned),
        ("no JWT", "a.b.c".to_owned()),
    ] {
        let refused = access.identify(&token, SystemTime::now()).await;
        assert!(matches!(refused, Err(Unknown::Identity(_))), "{what}: {refused:?}");
    }
    assert!(access.identify(&good, SystemTime::now()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_when_one_is_missing_and_not_too_often() {
    let provider = Provider::new();
    let access = provider.access();
    let rotated = provider.token("two", &[]);
    assert!(access.identify(&rotated, SystemTime::now()).await.is_err());
    provider.publish(&json!({ "keys": [{ "kty": "new kind" }, provider.jwk("two")] }));
    assert!(access.identify(&rotated, SystemTime::now()).await.is_err(), "the provider was asked a moment ago");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(access.identify(&rotated, SystemTime::now()).await.is_ok());
}

#[tokio::test]
async fn a_token_that_was_verified_is_known_for_a_while() {
    let provider = Provider::new();
    let access = provider.access();
    let now = SystemTime::now();
    let token = provider.token("one", &[]);
    assert_eq!(access.recall(&token, now), None);
    access.identify(&token, now).await.unwrap();
    let (name, grants) = access.recall(&token, now + Duration::from_secs(59)).unwrap();
    assert_eq!((name.as_str(), grants.role("research")), ("oidc:ada", Some(Role::Submitter)));
    assert_eq!(access.recall(&token, now + Duration::from_secs(61)), None);
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let ends_soon = provider.token("one", &[("exp", json!(seconds + 5))]);
    access.identify(&ends_soon, now).await.unwrap();
    assert!(access.recall(&ends_soon, now).is_some());
    assert_eq!(access.recall(&ends_soon, now + Duration::from_secs(6)), None, "it has expired");
}

#[tokio::test]
async fn while_the_provider_is_away_nobody_is_called_a_stranger_and_known_keys_are_kept() {
    let provider = Provider::new();
    let token = provider.token("one", &[]);
    let keys = provider.folder.path().join("keys.json");
    std::fs::remove_file(&keys).unwrap();
    let never_had_any = provider.access();
    for _ in 0..2 {
        let refused = never_had_any.identify(&token, SystemTime::now()).await;
        assert!(matches!(refused, Err(Unknown::Keys(_))), "{refused:?}");
    }
    provider.publish(&json!({ "keys": [provider.jwk("one")] }));
    let first = provider.access();
    first.identify(&token, SystemTime::now()).await.unwrap();
    std::fs::remove_file(&keys).unwrap();
    // The access file has changed: the provider is the same, and can't be asked now.
    let second = provider.access().after(&first);
    second.identify(&provider.token("one", &[("sub", json!("bob"))]), SystemTime::now()).await.unwrap();
}

#[test]
fn a_change_of_the_file_gives_nobody_a_fresh_start() {
    let limited =
        |burst: u32, rest: &str| access(&format!("[limits]\nrequests_per_second = 1\nburst = {burst}\n{rest}"));
    let first = limited(1, "");
    first.limits.request("ada").unwrap();
    let second = limited(1, "[stores]\nresearch = [\"file:///store\"]").after(&first);
    assert!(second.limits.request("ada").is_err(), "the limits are as they were, and so is what was asked for");
    limited(2, "").after(&second).limits.request("ada").unwrap();
}
