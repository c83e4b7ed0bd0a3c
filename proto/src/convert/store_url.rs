//! Where a pipeline works.

use url::Url;

/// Schemes whose part before the `@` names a container, and is no secret.
const CONTAINER_BEFORE_HOST: [&str; 2] = ["abfs", "abfss"];

/// Settings that may stand in the query; whoever opens the store knows what each of them means. None of them is a secret.
const SETTINGS: [&str; 8] = [
    "retry_timeout",
    "connect_timeout",
    "read_timeout",
    "timeout",
    "endpoint",
    "region",
    "allow_http",
    "skip_signature",
];

/// Checks the URL of a store. It is kept with the pipeline and shown to everyone who may see that, so it must not hold a secret;
/// what is wrong is said without repeating it.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is empty, expected an object store such as `s3://bucket/prefix`");
    }
    let Ok(url) = Url::parse(text) else {
        return Err("is no URL, expected an object store such as `s3://bucket/prefix` or `file:///data`");
    };
    let names_user = !url.username().is_empty() && !CONTAINER_BEFORE_HOST.contains(&url.scheme());
    let tells_more =
        |text: &str| Url::parse(text).is_ok_and(|url| !url.username().is_empty() || url.password().is_some());
    let has_endpoint_user = url.query_pairs().any(|(key, value)| key == "endpoint" && tells_more(&value));
    let sets_more = url.query_pairs().any(|(key, _)| !SETTINGS.contains(&&*key));
    if names_user || has_endpoint_user || url.password().is_some() || sets_more || url.fragment().is_some() {
        return Err(
            "holds more than a place and settings such as `?region=eu-west-1`: workers take credentials from their environment",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_place_is_a_url_without_secrets() {
        for url in [
            "s3://bucket/prefix",
            "file:///data",
            "gs://b",
            "memory:///",
            "s3://b/x?endpoint=https://h:1&region=r&retry_timeout=5s",
            "abfss://container@account.dfs.core.windows.net/x",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "bucket/prefix",
            "s3://key:secret@bucket",
            "s3://key@bucket",
            "s3://b/x?endpoint=https://key:secret@h:1",
            "s3://b/x?endpoint=https%3A%2F%2Fsecret%40h",
            "https://h/x?sig=secret",
            "s3://b/x#secret",
        ] {
            let problem = check(url).unwrap_err();
            assert!(!problem.contains("secret"), "{url}");
        }
    }
}
