//! What a slot computes on.

use std::fmt;
use std::str::FromStr;

/// The device behind a slot. Shown as `cpu` or `cuda:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// Cores of the node, shared with its other CPU slots.
    Cpu,
    /// The GPU of this index on its node.
    Cuda(u32),
}

/// What devices are counted by: tasks on devices of one kind can be ranks of one generation, for a collective runs on one kind of
/// memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// Cores of a node.
    Cpu,
    /// GPUs.
    Cuda,
}

impl DeviceKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Cuda];

    /// The word it is written, shown and counted by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// Reads that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One value for each kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PerKind<T> {
    /// For CPUs.
    pub cpu: T,
    /// For GPUs.
    pub cuda: T,
}

impl<T> PerKind<T> {
    /// The value that a function gives for each kind.
    pub fn of(mut value: impl FnMut(DeviceKind) -> T) -> Self {
        Self { cpu: value(DeviceKind::Cpu), cuda: value(DeviceKind::Cuda) }
    }

    /// The value for a kind.
    pub fn get(&self, kind: DeviceKind) -> &T {
        match kind {
            DeviceKind::Cpu => &self.cpu,
            DeviceKind::Cuda => &self.cuda,
        }
    }

    /// The value for a kind, to be changed.
    pub fn get_mut(&mut self, kind: DeviceKind) -> &mut T {
        match kind {
            DeviceKind::Cpu => &mut self.cpu,
            DeviceKind::Cuda => &mut self.cuda,
        }
    }
}

impl PerKind<u32> {
    /// How many of each kind there are.
    pub fn count(devices: impl IntoIterator<Item = Device>) -> Self {
        let mut count = Self::default();
        for device in devices {
            *count.get_mut(device.kind()) += 1;
        }
        count
    }

    /// Both together.
    pub fn total(self) -> u32 {
        self.cpu.saturating_add(self.cuda)
    }

    /// The larger of the two.
    pub fn largest(self) -> u32 {
        self.cpu.max(self.cuda)
    }

    /// Each with that of another one added.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu.saturating_add(other.cpu), cuda: self.cuda.saturating_add(other.cuda) }
    }

    /// Each with that of another one taken away, and 0 where that is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(other.cpu), cuda: self.cuda.saturating_sub(other.cuda) }
    }
}

/// Why a device was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("device `{text}` is not known: expected `cpu` or `cuda:` and a number")]
pub struct UnknownDevice {
    /// The device as given.
    pub text: String,
}

impl Device {
    /// What it is counted by.
    pub fn kind(self) -> DeviceKind {
        match self {
            Self::Cpu => DeviceKind::Cpu,
            Self::Cuda(_) => DeviceKind::Cuda,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let refused = || UnknownDevice { text: text.to_owned() };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|_| refused()),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_back_what_they_print() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(7)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for bad in ["", "gpu", "cuda", "cuda:", "cuda:-1", "cpu:0"] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
    }
}
