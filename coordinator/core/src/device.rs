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

/// Why a device was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("device `{text}` is not known: expected `cpu` or `cuda:` and a number")]
pub struct UnknownDevice {
    /// The device as given.
    pub text: String,
}

impl Device {
    /// Whether tasks on both can be ranks of one generation: a collective runs on one kind of memory.
    pub fn can_join(self, other: Self) -> bool {
        matches!((self, other), (Self::Cpu, Self::Cpu) | (Self::Cuda(_), Self::Cuda(_)))
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
