//! What is under `deploy/` fits Kubernetes, fits together, and asks for nothing that is not there.

#![expect(clippy::unwrap_used, reason = "what is not as expected ends the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec, Probe};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use vismae_tests::deploy::manifests::{Kustomization, Object, parse};
use vismae_tests::deploy::{exported, folder, promql, read, shown};

const BASE: &str = "kustomize/base";
const KUSTOMIZED: [&str; 5] = [BASE, "kustomize/overlays/gpu", "kustomize/overlays/monitored", "prometheus", "grafana"];

fn base() -> Vec<Object> {
    let files = Kustomization::of(Path::new(BASE)).resources;
    files.iter().flat_map(|file| parse(&read(Path::new(BASE).join(file))).unwrap()).collect()
}

fn templates(objects: &[Object]) -> Vec<&PodTemplateSpec> {
    objects.iter().filter_map(Object::pods).collect()
}

fn containers(objects: &[Object]) -> Vec<&Container> {
    templates(objects).iter().flat_map(|pods| &pods.spec.as_ref().unwrap().containers).collect()
}

#[test]
fn every_manifest_is_exactly_what_kubernetes_knows() {
    let kinds: Vec<&str> = base().iter().map(Object::kind).collect();
    for kind in [
        "Deployment",
        "StatefulSet",
        "Service",
        "ServiceAccount",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PersistentVolumeClaim",
    ] {
        assert!(kinds.contains(&kind), "{kind}");
    }
    let overlay = Path::new("kustomize/overlays/gpu");
    for patch in Kustomization::of(overlay).patches {
        parse(&read(overlay.join(&patch.path))).unwrap();
    }
}

#[test]
fn a_misspelt_field_a_wrong_type_and_a_field_given_twice_are_refused() {
    let manifest = read(Path::new(BASE).join("workers.yaml"));
    let broken = [
        ("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true", "readOnlyRootFileSystem"),
        ("replicas: 2", "replicas: two", "two"),
        ("replicas: 2", "replicas: 2\n  replicas: 3", "replicas"),
        ("apiVersion: apps/v1", "apiVersion: apps/v1beta1", "apps/v1beta1"),
    ];
    for (right, wrong, named) in broken {
        assert!(manifest.contains(right), "{right}");
        let faults = parse(&manifest.replacen(right, wrong, 1)).unwrap_err();
        assert!(faults.iter().any(|fault| fault.contains(named)), "{faults:?}");
    }
}

#[test]
fn kustomizations_name_every_file_beside_them_and_only_what_exists() {
    for place in KUSTOMIZED.map(Path::new) {
        let kustomization = Kustomization::of(place);
        let named: BTreeSet<&Path> = kustomization.paths().into_iter().collect();
        for path in &named {
            let target = folder().join(place).join(path);
            assert!(target.is_file() || target.join("kustomization.yaml").is_file(), "{}", target.display());
        }
        for entry in std::fs::read_dir(folder().join(place)).unwrap() {
            let name = PathBuf::from(entry.unwrap().file_name());
            assert!(name == Path::new("kustomization.yaml") || named.contains(name.as_path()), "{place:?}: {name:?}");
        }
        let is_component = ["prometheus", "grafana"].map(Path::new).contains(&place);
        assert_eq!(kustomization.kind, if is_component { "Component" } else { "Kustomization" });
    }
}

#[test]
fn patches_change_what_the_base_has_and_add_no_container() {
    let (base, overlay) = (base(), Path::new("kustomize/overlays/gpu"));
    for patch in Kustomization::of(overlay).patches {
        for object in parse(&read(overlay.join(&patch.path))).unwrap() {
            let same =
                |other: &&Object| other.kind() == object.kind() && other.metadata().name == object.metadata().name;
            let target =
                base.iter().find(same).unwrap_or_else(|| panic!("{:?} is not in the base", object.metadata().name));
            let (changed, whole) = (object.pods().unwrap().spec.clone(), target.pods().unwrap().spec.clone());
            let (changed, whole) = (changed.unwrap(), whole.unwrap());
            for container in changed.containers {
                assert!(whole.containers.iter().any(|known| known.name == container.name), "{}", container.name);
            }
            for volume in changed.volumes.unwrap_or_default() {
                assert!(whole.volumes.iter().flatten().any(|known| known.name == volume.name), "{}", volume.name);
            }
        }
    }
}

type Map = BTreeMap<String, String>;

fn selects(selector: &Map, labels: Option<&Map>) -> bool {
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

fn matched(selector: &LabelSelector) -> &Map {
    assert!(selector.match_expressions.is_none(), "{selector:?}");
    selector.match_labels.as_ref().unwrap()
}

#[test]
fn every_selector_selects_pods_that_are_deployed() {
    let objects = base();
    let mut selectors: Vec<(&str, &Map)> = Vec::new();
    for object in &objects {
        let selector = match object {
            Object::Deployment(object) => matched(&object.spec.as_ref().unwrap().selector),
            Object::StatefulSet(object) => matched(&object.spec.as_ref().unwrap().selector),
            Object::Service(object) => object.spec.as_ref().unwrap().selector.as_ref().unwrap(),
            Object::PodDisruptionBudget(object) => matched(object.spec.as_ref().unwrap().selector.as_ref().unwrap()),
            Object::NetworkPolicy(object) => matched(object.spec.as_ref().unwrap().pod_selector.as_ref().unwrap()),
            Object::ServiceAccount(_) | Object::PersistentVolumeClaim(_) => continue,
        };
        if let Some(own) = object.pods() {
            assert!(
                selects(selector, own.metadata.as_ref().unwrap().labels.as_ref()),
                "a workload selects its own pods"
            );
        }
        selectors.push((object.kind(), selector));
    }
    for pods in templates(&objects) {
        let spread = pods.spec.as_ref().unwrap().topology_spread_constraints.iter().flatten();
        selectors.extend(spread.map(|rule| ("spread", matched(rule.label_selector.as_ref().unwrap()))));
    }
    assert!(selectors.len() >= 8, "{selectors:?}");
    for (kind, selector) in selectors {
        assert!(!selector.is_empty(), "{kind} selects everything");
        let labels = |pods: &&PodTemplateSpec| pods.metadata.as_ref().unwrap().labels.clone();
        assert!(
            templates(&objects).iter().any(|pods| selects(selector, labels(pods).as_ref())),
            "{kind}: {selector:?}"
        );
    }
}

#[test]
fn ports_are_named_alike_and_numbered_as_the_processes_are_told() {
    let objects = base();
    let mut known: BTreeMap<String, i32> = BTreeMap::new();
    for container in containers(&objects) {
        let ports = container.ports.as_ref().unwrap();
        known.extend(ports.iter().map(|port| (port.name.clone().unwrap(), port.container_port)));
        let told: BTreeSet<i32> = container
            .args
            .iter()
            .flatten()
            .filter(|argument| argument.starts_with("--listen=") || argument.starts_with("--admin="))
            .map(|argument| argument.rsplit_once(':').unwrap().1.parse().unwrap())
            .collect();
        assert_eq!(ports.iter().map(|port| port.container_port).collect::<BTreeSet<_>>(), told, "{}", container.name);
        let probes = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe];
        for Probe { grpc, http_get, .. } in probes.into_iter().flatten() {
            match (grpc, http_get) {
                (Some(grpc), None) => assert!(told.contains(&grpc.port), "{grpc:?}"),
                (None, Some(get)) => {
                    assert_eq!(get.port, IntOrString::String("admin".to_owned()));
                    assert!(["/healthz", "/readyz"].contains(&get.path.as_deref().unwrap()), "{get:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    for object in &objects {
        let used: Vec<IntOrString> = match object {
            Object::Service(object) => {
                let ports = object.spec.as_ref().unwrap().ports.iter().flatten();
                ports.map(|port| port.target_port.clone().unwrap()).collect()
            }
            Object::NetworkPolicy(object) => {
                let rules = object.spec.as_ref().unwrap().ingress.iter().flatten();
                rules.flat_map(|rule| rule.ports.iter().flatten()).map(|port| port.port.clone().unwrap()).collect()
            }
            _ => continue,
        };
        for port in used {
            assert!(matches!(&port, IntOrString::String(name) if known.contains_key(name)), "{port:?}");
        }
    }
}

#[test]
fn workers_are_pointed_at_the_service_of_the_coordinator() {
    let objects = base();
    let services: Vec<String> = objects
        .iter()
        .filter_map(|object| match object {
            Object::Service(service) => Some(service),
            _ => None,
        })
        .flat_map(|service| {
            let name = service.metadata.name.clone().unwrap();
            service.spec.clone().unwrap().ports.unwrap().into_iter().map(move |port| {
                let scheme = if port.app_protocol.as_deref() == Some("https") { "https" } else { "http" };
                format!("{scheme}://{name}:{}", port.port)
            })
        })
        .collect();
    let addresses: Vec<&str> = containers(&objects)
        .into_iter()
        .flat_map(|container| container.args.iter().flatten())
        .filter_map(|argument| argument.strip_prefix("--coordinator="))
        .collect();
    assert!(!addresses.is_empty());
    assert!(addresses.iter().all(|address| services.contains(&(*address).to_owned())), "{addresses:?} {services:?}");
}

#[test]
fn pods_run_with_as_few_rights_as_kubernetes_knows() {
    let objects = base();
    let accounts: Vec<&String> = objects
        .iter()
        .filter(|object| object.kind() == "ServiceAccount")
        .filter_map(|object| object.metadata().name.as_ref())
        .collect();
    for pods in templates(&objects) {
        let spec = pods.spec.as_ref().unwrap();
        let context = spec.security_context.as_ref().unwrap();
        assert_eq!((context.run_as_non_root, spec.automount_service_account_token), (Some(true), Some(false)));
        assert_eq!(context.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
        assert!(accounts.contains(&spec.service_account_name.as_ref().unwrap()), "{accounts:?}");
        let volumes: Vec<&String> = spec.volumes.iter().flatten().map(|volume| &volume.name).collect();
        for container in &spec.containers {
            let context = container.security_context.as_ref().unwrap();
            assert_eq!(
                (context.read_only_root_filesystem, context.allow_privilege_escalation),
                (Some(true), Some(false))
            );
            assert_eq!(context.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
            let mounts = container.volume_mounts.as_ref().unwrap();
            assert!(mounts.iter().all(|mount| volumes.contains(&&mount.name)), "{mounts:?}");
            assert!(mounts.iter().any(|mount| mount.mount_path == "/tmp"), "weights are put together in /tmp");
            let limits = container.resources.as_ref().unwrap().limits.as_ref().unwrap();
            assert!(limits.contains_key("memory"), "{}", container.name);
        }
    }
}

/// The fields of a ServiceMonitor that are used; the operator's own description is not among Kubernetes'.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceMonitor {
    api_version: String,
    kind: String,
    #[serde(rename = "metadata")]
    _metadata: serde_norway::Value,
    spec: ServiceMonitorSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceMonitorSpec {
    selector: LabelSelector,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Endpoint {
    port: String,
    path: String,
    #[serde(rename = "interval")]
    _interval: String,
    honor_labels: bool,
}

#[test]
fn both_services_are_scraped_where_they_serve_metrics() {
    let monitor: ServiceMonitor = serde_norway::from_str(&read("prometheus/service-monitor.yaml")).unwrap();
    assert_eq!((monitor.api_version.as_str(), monitor.kind.as_str()), ("monitoring.coreos.com/v1", "ServiceMonitor"));
    let chosen = &monitor.spec.selector.match_expressions.as_ref().unwrap()[0];
    let [endpoint] = monitor.spec.endpoints.as_slice() else { panic!("one endpoint") };
    assert_eq!((endpoint.path.as_str(), endpoint.honor_labels), ("/metrics", true));
    for object in base() {
        let Object::Service(service) = object else { continue };
        let labels = service.metadata.labels.unwrap();
        assert!(chosen.values.iter().flatten().any(|value| labels.get(&chosen.key) == Some(value)), "{labels:?}");
        let ports = service.spec.unwrap().ports.unwrap();
        assert!(ports.iter().any(|port| port.name.as_ref() == Some(&endpoint.port)), "{ports:?}");
    }
}

#[test]
fn alerts_say_what_happened_and_how_bad_it_is() {
    let rules: serde_norway::Value = serde_norway::from_str(&read("prometheus/rules.yaml")).unwrap();
    let rules = rules["spec"]["groups"][0]["rules"].as_sequence().unwrap();
    assert_eq!(rules.len(), shown::alert_expressions().len());
    for rule in rules {
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{severity}");
        assert!(rule["alert"].as_str().unwrap().starts_with("Vismae"));
        assert!(
            rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string(),
            "{rule:?}"
        );
    }
}

/// Whether a metric is exported by agents, which are asked for theirs where one runs.
fn is_of_agents(metric: &str) -> bool {
    metric.starts_with("vismae_agent_")
}

#[test]
fn every_metric_that_a_panel_or_an_alert_names_is_exported() {
    let exported = exported::by_coordinator().names();
    let shown = shown::metrics();
    assert!(shown.len() > 10, "{shown:?}");
    let missing: Vec<_> = shown.iter().filter(|name| !is_of_agents(name) && !exported.contains(*name)).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}; exported: {exported:?}");
    let unused: Vec<_> = exported.iter().filter(|name| !shown.contains(*name)).collect();
    assert!(unused.is_empty(), "exported and shown nowhere: {unused:?}");
}

#[test]
fn a_metric_that_nobody_exports_is_noticed() {
    let exported = exported::by_coordinator().names();
    let misspelt = promql::metrics(&promql::selectors("rate(vismae_step_durations_seconds_bucket[5m])").unwrap());
    assert!(misspelt.is_disjoint(&exported));
    let right = promql::metrics(&promql::selectors("rate(vismae_step_duration_seconds_bucket[5m])").unwrap());
    assert!(right.is_subset(&exported), "{exported:?}");
}

#[test]
fn every_label_value_that_is_asked_for_can_occur() {
    let exported = exported::by_coordinator();
    let mut checked = 0;
    for selector in shown::selectors() {
        let mut known = exported.series(&selector.metric).peekable();
        if known.peek().is_none() {
            continue;
        }
        let fits = |labels: &exported::Labels| {
            let fits = |label: &String| labels.get(label).map(String::as_str).unwrap_or_default();
            selector.matchers.iter().all(|matcher| matcher.is_match(fits(&matcher.name)))
        };
        assert!(known.any(fits), "{selector:?}");
        checked += usize::from(!selector.matchers.is_empty());
    }
    assert!(checked >= 5, "{checked} selectors have conditions on series that always exist");
}

#[test]
fn images_are_built_with_the_toolchain_of_the_workspace_and_serve_the_ports_of_the_manifests() {
    let toolchain = std::fs::read_to_string(folder().join("../rust-toolchain.toml")).unwrap();
    let channel = toolchain.split('"').nth(1).unwrap();
    let objects = base();
    for (image, name) in [("coordinator", "coordinator"), ("worker", "worker")] {
        let dockerfile = read(format!("images/{image}.Dockerfile"));
        assert!(dockerfile.contains(&format!("\nFROM rust:{channel}-slim-bookworm AS build\n")), "{image}");
        let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
        assert_ne!(user.split(':').next(), Some("0"));
        let container = containers(&objects).into_iter().find(|container| container.name == name).unwrap();
        let exposed = dockerfile.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap();
        let exposed: BTreeSet<i32> = exposed.split(' ').map(|port| port.parse().unwrap()).collect();
        let served = container.ports.iter().flatten().map(|port| port.container_port).collect();
        assert_eq!(exposed, served, "{image}");
        let images = Kustomization::of(Path::new(BASE)).images;
        let known = images.iter().find(|known| Some(&known.name) == container.image.as_ref()).unwrap();
        assert_eq!(known.new_tag, env!("CARGO_PKG_VERSION"), "{image}");
    }
}
