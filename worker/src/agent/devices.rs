//! Which devices a node offers, and how they are named on the wire: `cpu` or `cuda:N`.

use std::fmt;
use std::str::FromStr;

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DeviceChoice {
    /// Every GPU when there is one, CPU slots otherwise.
    Auto,
    /// CPU slots only.
    Cpu,
    /// GPUs only.
    Cuda,
}

/// The device of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotDevice {
    /// The host's processors.
    Cpu,
    /// A GPU by its index.
    Cuda(usize),
}

/// Why the devices asked for can't be offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// No usable GPU was found.
    #[error(
        "no GPU is visible to libtorch, expected at least one for `--device cuda`; check the driver with `nvidia-smi`, or use `--device cpu`"
    )]
    NoGpu,
    /// More slots than GPUs.
    #[error("`--slots {slots}` on {gpus} GPUs, expected at most one slot for each GPU")]
    TooManySlots {
        /// Slots asked for.
        slots: u32,
        /// GPUs found.
        gpus: usize,
    },
    /// A name that is no device.
    #[error("`{0}` is not a device, expected `cpu` or `cuda:N`")]
    Unknown(String),
}

/// Lays out the slots: one for each GPU, or as many CPU slots as asked for.
///
/// # Errors
/// [`DeviceError`] when GPUs are asked for and there are none, or fewer than slots.
pub(super) fn lay_out(choice: DeviceChoice, slots: Option<u32>, gpus: usize) -> Result<Vec<SlotDevice>, DeviceError> {
    let use_gpus = match choice {
        DeviceChoice::Cpu => false,
        DeviceChoice::Auto => gpus > 0,
        DeviceChoice::Cuda if gpus == 0 => return Err(DeviceError::NoGpu),
        DeviceChoice::Cuda => true,
    };
    if !use_gpus {
        return Ok(vec![SlotDevice::Cpu; slots.unwrap_or(1).max(1) as usize]);
    }
    let wanted = slots.map_or(gpus, |slots| slots as usize);
    if wanted > gpus {
        return Err(DeviceError::TooManySlots { slots: wanted as u32, gpus });
    }
    Ok((0..wanted).map(SlotDevice::Cuda).collect())
}

impl SlotDevice {
    /// The device as libtorch knows it.
    pub(crate) fn to_tch(self) -> tch::Device {
        match self {
            Self::Cpu => tch::Device::Cpu,
            Self::Cuda(index) => tch::Device::Cuda(index),
        }
    }
}

impl fmt::Display for SlotDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for SlotDevice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        match name.split_once(':') {
            None if name == "cpu" => Ok(Self::Cpu),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|_| DeviceError::Unknown(name.to_owned())),
            _ => Err(DeviceError::Unknown(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_the_devices_found() {
        use DeviceChoice::{Auto, Cpu, Cuda};
        let cuda = |count| (0..count).map(SlotDevice::Cuda).collect::<Vec<_>>();
        for (choice, slots, gpus, expected) in [
            (Auto, None, 0, vec![SlotDevice::Cpu]),
            (Auto, Some(3), 0, vec![SlotDevice::Cpu; 3]),
            (Auto, None, 2, cuda(2)),
            (Cuda, Some(1), 2, cuda(1)),
            (Cpu, Some(2), 8, vec![SlotDevice::Cpu; 2]),
        ] {
            assert_eq!(lay_out(choice, slots, gpus).unwrap(), expected);
        }
        assert!(matches!(lay_out(Cuda, None, 0), Err(DeviceError::NoGpu)));
        assert!(matches!(lay_out(Auto, Some(3), 2), Err(DeviceError::TooManySlots { slots: 3, gpus: 2 })));
    }

    #[test]
    fn device_names_read_back_what_they_print() {
        for device in [SlotDevice::Cpu, SlotDevice::Cuda(0), SlotDevice::Cuda(11)] {
            assert_eq!(device.to_string().parse::<SlotDevice>().unwrap(), device);
        }
        for bad in ["gpu", "cuda", "cuda:", "cuda:x", "cpu:0"] {
            assert!(bad.parse::<SlotDevice>().is_err(), "{bad}");
        }
    }
}
