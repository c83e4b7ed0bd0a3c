//! Kubernetes manifests as the types that are generated from Kubernetes' own API description, and nothing besides.

use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_norway::Value;

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// `apps/v1`.
    Deployment(Box<Deployment>),
    /// `apps/v1`.
    StatefulSet(Box<StatefulSet>),
    /// `v1`.
    Service(Box<Service>),
    /// `v1`.
    ServiceAccount(Box<ServiceAccount>),
    /// `v1`.
    PersistentVolumeClaim(Box<PersistentVolumeClaim>),
    /// `networking.k8s.io/v1`.
    NetworkPolicy(Box<NetworkPolicy>),
    /// `policy/v1`.
    PodDisruptionBudget(Box<PodDisruptionBudget>),
}

impl Object {
    /// Its name and labels.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(object) => &object.metadata,
            Self::StatefulSet(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::ServiceAccount(object) => &object.metadata,
            Self::PersistentVolumeClaim(object) => &object.metadata,
            Self::NetworkPolicy(object) => &object.metadata,
            Self::PodDisruptionBudget(object) => &object.metadata,
        }
    }

    /// The kind, as manifests write it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deployment(_) => "Deployment",
            Self::StatefulSet(_) => "StatefulSet",
            Self::Service(_) => "Service",
            Self::ServiceAccount(_) => "ServiceAccount",
            Self::PersistentVolumeClaim(_) => "PersistentVolumeClaim",
            Self::NetworkPolicy(_) => "NetworkPolicy",
            Self::PodDisruptionBudget(_) => "PodDisruptionBudget",
        }
    }

    /// The pods that it makes, if it makes any.
    pub fn pods(&self) -> Option<&PodTemplateSpec> {
        match self {
            Self::Deployment(object) => object.spec.as_ref().map(|spec| &spec.template),
            Self::StatefulSet(object) => object.spec.as_ref().map(|spec| &spec.template),
            _ => None,
        }
    }
}

/// Every object of a manifest, or everything that is wrong with it: unknown kinds, unknown fields, wrong types.
///
/// # Errors
/// One line for each fault.
pub fn parse(text: &str) -> Result<Vec<Object>, Vec<String>> {
    let (mut objects, mut faults) = (Vec::new(), Vec::new());
    for document in serde_norway::Deserializer::from_str(text) {
        match Value::deserialize(document).map_err(|error| vec![error.to_string()]).and_then(object) {
            Ok(object) => objects.push(object),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(objects) } else { Err(faults) }
}

fn object(value: Value) -> Result<Object, Vec<String>> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(match (text("apiVersion").as_str(), text("kind").as_str()) {
        ("apps/v1", "Deployment") => Object::Deployment(strict(value)?),
        ("apps/v1", "StatefulSet") => Object::StatefulSet(strict(value)?),
        ("v1", "Service") => Object::Service(strict(value)?),
        ("v1", "ServiceAccount") => Object::ServiceAccount(strict(value)?),
        ("v1", "PersistentVolumeClaim") => Object::PersistentVolumeClaim(strict(value)?),
        ("networking.k8s.io/v1", "NetworkPolicy") => Object::NetworkPolicy(strict(value)?),
        ("policy/v1", "PodDisruptionBudget") => Object::PodDisruptionBudget(strict(value)?),
        (version, kind) => return Err(vec![format!("`{version}` `{kind}` is none of the kinds that are deployed")]),
    })
}

/// A value as a type that knows all of its fields.
///
/// # Errors
/// One line for each field that the type does not have, or the first value of a wrong type.
pub fn strict<T: DeserializeOwned>(value: Value) -> Result<T, Vec<String>> {
    let mut unknown = Vec::new();
    let parsed = serde_ignored::deserialize(value, |path| unknown.push(format!("`{path}` is not a field")));
    match parsed {
        Ok(parsed) if unknown.is_empty() => Ok(parsed),
        Ok(_) => Err(unknown),
        Err(error) => Err(vec![error.to_string()]),
    }
}

/// A `kustomization.yaml`, of the fields that are used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kustomization {
    /// Always given.
    pub api_version: String,
    /// `Kustomization`, or `Component` where only others can use it.
    pub kind: String,
    /// Manifests, and folders with a kustomization.
    #[serde(default)]
    pub resources: Vec<PathBuf>,
    /// Folders with a component.
    #[serde(default)]
    pub components: Vec<PathBuf>,
    /// Changes to the resources.
    #[serde(default)]
    pub patches: Vec<Patch>,
    /// Configuration made of files.
    #[serde(default)]
    pub config_map_generator: Vec<Generator>,
    /// Labels given to everything.
    #[serde(default)]
    pub labels: Vec<Value>,
    /// Where images come from.
    #[serde(default)]
    pub images: Vec<Image>,
}

/// A change to resources.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// The file.
    pub path: PathBuf,
}

/// A set of files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Of the object made.
    pub name: String,
    /// Those in it.
    pub files: Vec<PathBuf>,
    /// Labels of the object made, and how it is named.
    #[serde(default)]
    pub options: Value,
}

/// Where an image comes from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// As manifests name it.
    pub name: String,
    /// Its tag.
    pub new_tag: String,
}

impl Kustomization {
    /// That of a folder under `deploy/`.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn of(folder: &Path) -> Self {
        let text = super::read(folder.join("kustomization.yaml"));
        serde_norway::from_str(&text).unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()))
    }

    /// Every path it names, relative to its folder.
    pub fn paths(&self) -> Vec<&Path> {
        let plain = self.resources.iter().chain(&self.components).chain(self.patches.iter().map(|patch| &patch.path));
        plain.chain(self.config_map_generator.iter().flat_map(|made| &made.files)).map(PathBuf::as_path).collect()
    }
}
