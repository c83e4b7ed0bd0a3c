//! Newtypes for every identity and count that crosses a crate boundary.

use std::fmt;

/// Longest name a user may choose, so that names fit DNS labels and Kubernetes object names with a suffix.
pub const NAME_MAX: usize = 48;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "name `{name}` is not usable: expected 1 to {NAME_MAX} of a-z, 0-9 and `-`, beginning with a letter and not ending in `-`"
)]
pub struct InvalidName {
    /// The name as given.
    pub name: String,
}

/// Checks the RFC-1034 label form that every user-chosen name has.
fn checked(name: String) -> Result<String, InvalidName> {
    let well_formed = (1..=NAME_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if well_formed { Ok(name) } else { Err(InvalidName { name }) }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Checks the name's form.
            ///
            /// # Errors
            /// [`InvalidName`] when it is not an RFC-1034 label of at most [`NAME_MAX`] characters.
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
                checked(name.into()).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A submitted pipeline: a DAG of jobs with one name.
    PipelineId
);
name!(
    /// The name of a job inside its pipeline, as the job file gives it.
    JobName
);
name!(
    /// The name of a corpus in the object store.
    CorpusName
);
name!(
    /// A namespace: whose pipeline it is, as `default` or the name of a team.
    NamespaceName
);
name!(
    /// A worker: one agent process on one node.
    WorkerId
);

/// The namespace of pipelines that name none: `default`.
impl Default for NamespaceName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// A job of a pipeline, unique in a coordinator. Shown as `pipeline.job`, which no other pair of names can spell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// The pipeline it belongs to.
    pub pipeline: PipelineId,
    /// Its name there.
    pub name: JobName,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.pipeline, self.name)
    }
}

impl std::str::FromStr for JobId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (pipeline, name) = text.split_once('.').ok_or_else(|| InvalidName { name: text.to_owned() })?;
        Ok(Self { pipeline: PipelineId::new(pipeline)?, name: JobName::new(name)? })
    }
}

/// One member of one attempt at a job: what a slot executes. Shown as `pipeline.job/attempt/member`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The job.
    pub job: JobId,
    /// Counts from 0; grows with each retry.
    pub attempt: u32,
    /// Counts from 0 inside the gang; the first rank order follows it.
    pub member: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.job, self.attempt, self.member)
    }
}

impl std::str::FromStr for TaskId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let refused = || InvalidName { name: text.to_owned() };
        let mut parts = text.split('/');
        let job = parts.next().ok_or_else(refused)?.parse()?;
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or_else(refused);
        let (attempt, member) = (number()?, number()?);
        if parts.next().is_some() {
            return Err(refused());
        }
        Ok(Self { job, attempt, member })
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $type:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $type(pub $inner);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// One membership of a run. Only grows, and fences everything older.
    Generation(u64)
);
number!(
    /// A pass over the selected samples, from 0.
    Epoch(u32)
);
number!(
    /// Optimiser updates since the run's start, from 0.
    Step(u64)
);
number!(
    /// A place in a generation, from 0.
    Rank(u32)
);
number!(
    /// How many ranks a generation has, at least 1.
    WorldSize(u32)
);

/// A place on a worker that runs one task at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// The worker that offers it.
    pub worker: WorkerId,
    /// Its index there, from 0.
    pub index: u32,
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.worker, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_dns_label_form() {
        for good in ["a", "demo", "demo-2", "a0"] {
            assert_eq!(PipelineId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "0a", "-a", "a-", "a.b", "a/b", "ä", &"a".repeat(NAME_MAX + 1)] {
            assert!(PipelineId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn job_and_task_ids_read_back_what_they_print() {
        let job = JobId { pipeline: PipelineId::new("demo-2").unwrap(), name: JobName::new("pretrain").unwrap() };
        assert_eq!(job.to_string(), "demo-2.pretrain");
        assert_eq!(job.to_string().parse::<JobId>().unwrap(), job);
        let task = TaskId { job, attempt: 1, member: 3 };
        assert_eq!(task.to_string().parse::<TaskId>().unwrap(), task);
        assert!("demo.pretrain/1".parse::<TaskId>().is_err());
        assert!("demo.pretrain/1/2/3".parse::<TaskId>().is_err());
    }
}
