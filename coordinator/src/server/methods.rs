//! The methods that are served, by their path.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};

/// Services that tell nothing of anyone's work: how the protocol looks, and whether the coordinator is well.
const OPEN: [&str; 3] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
/// How methods begin that only look.
const LOOKS: [&str; 5] = ["Get", "List", "Watch", "Read", "Explain"];

/// What is known of a method before it is called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Method {
    /// As `vismae.v1.JobService`.
    pub(super) service: String,
    /// As `CancelPipeline`.
    pub(super) name: String,
    /// Whether its answer is a stream.
    pub(super) answers_in_stream: bool,
    /// As metrics of gRPC call it.
    pub(super) kind: &'static str,
}

impl Method {
    /// The method at a path such as `vismae.v1.JobService/CancelPipeline`.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(methods);
        METHODS.get(path)
    }

    /// Whether it only looks at something.
    pub(super) fn looks(&self) -> bool {
        LOOKS.iter().any(|begin| self.name.starts_with(begin))
    }

    /// Whether it tells nothing of anyone's work.
    pub(super) fn is_open(&self) -> bool {
        OPEN.contains(&self.service.as_str())
    }

    fn new(service: String, method: &MethodDescriptorProto) -> Self {
        let kind = match (method.client_streaming(), method.server_streaming()) {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi_stream",
        };
        Self { service, name: method.name().to_owned(), answers_in_stream: method.server_streaming(), kind }
    }
}

fn methods() -> HashMap<String, Method> {
    let sets = [
        vismae_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut methods = HashMap::new();
    for file in sets.iter().flat_map(|set| FileDescriptorSet::decode(*set).unwrap_or_default().file) {
        for service in &file.service {
            let full = format!("{}.{}", file.package(), service.name());
            let entry =
                |method| (format!("{full}/{}", MethodDescriptorProto::name(method)), Method::new(full.clone(), method));
            methods.extend(service.method.iter().map(entry));
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_known_with_what_its_methods_do() {
        let watch = Method::at("vismae.v1.JobService/WatchPipeline").unwrap();
        assert!(watch.answers_in_stream && watch.looks() && !watch.is_open() && watch.kind == "server_stream");
        let cancel = Method::at("vismae.v1.JobService/CancelPipeline").unwrap();
        assert!(!cancel.answers_in_stream && !cancel.looks() && cancel.kind == "unary");
        for service in OPEN {
            let of = |method: &str| Method::at(&format!("{service}/{method}"));
            assert!(of("Check").or(of("ServerReflectionInfo")).unwrap().is_open(), "{service}");
        }
        assert_eq!(Method::at("vismae.v1.JobService/cancelPipeline"), None);
    }
}
