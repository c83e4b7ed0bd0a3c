//! Which slots a job may use.

use std::collections::BTreeMap;
use std::fmt;

use super::Violations;
use crate::device::{Device, DeviceKind};

/// What the operator of a worker says about it, as `zone = a`.
pub type Labels = BTreeMap<String, String>;

/// Most labels of one worker, or that one job asks for.
pub const LABELS_MAX: usize = 32;
/// Longest key or value of a label.
pub const LABEL_MAX: usize = 63;

/// Which slots a job may use; all when nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Placement {
    /// The only kind of device it runs on.
    pub device: Option<DeviceKind>,
    /// Labels that a worker must have, all of them.
    pub labels: Labels,
}

/// What is wrong with a label, if anything is.
pub fn label_fault(key: &str, value: &str) -> Option<String> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let sound = |text: &str| text.len() <= LABEL_MAX && text.bytes().all(is_inner);
    (key.is_empty() || !sound(key) || !sound(value)).then(|| {
        format!("holds `{key}={value}`, expected a key and a value of at most {LABEL_MAX} letters, digits, `-`, `_`, `.` and `/`")
    })
}

impl Placement {
    /// Whether a slot of a worker will do.
    pub fn admits(&self, device: Device, labels: &Labels) -> bool {
        self.device.is_none_or(|kind| device.kind() == kind)
            && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// Whether it admits every slot that another one admits.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.device.is_none() || self.device == other.device)
            && self.labels.iter().all(|(key, value)| other.labels.get(key) == Some(value))
    }

    /// Whether every slot will do.
    pub fn is_open(&self) -> bool {
        self.device.is_none() && self.labels.is_empty()
    }

    pub(super) fn check(&self, field: &str, violations: &mut Violations) {
        let field = format!("{field}.node_labels");
        violations.require(self.labels.len() <= LABELS_MAX, &field, || {
            format!("has {} entries, expected at most {LABELS_MAX}", self.labels.len())
        });
        for fault in self.labels.iter().filter_map(|(key, value)| label_fault(key, value)) {
            violations.add(&field, fault);
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.device.map(|kind| format!("device={kind}"));
        let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
        f.write_str(&device.into_iter().chain(labels).collect::<Vec<_>>().join(","))
    }
}
