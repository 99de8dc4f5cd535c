//! Values of labels: each is one of a few.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// Declares an enum whose variants are the values of a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The label's value.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                EncodeLabelValue::encode(&self.label(), encoder)
            }
        }
    };
}

label! {
    /// A kind that has a controller.
    Kind {
        /// `WordPressSite`.
        WordPressSite = "WordPressSite",
        /// `DnsZone`.
        DnsZone = "DnsZone",
        /// `SiteBackup`.
        SiteBackup = "SiteBackup",
        /// `SiteRestore`.
        SiteRestore = "SiteRestore",
        /// `Provider`.
        Provider = "Provider",
        /// `Plan`.
        Plan = "Plan",
    }
}

label! {
    /// How a pass ended.
    PassResult {
        /// Everything is as specified, or nobody wants anything done.
        Steady = "steady",
        /// On its way: something was done or is awaited.
        Progressing = "progressing",
        /// An error that is tried again.
        Failed = "failed",
        /// An error that nothing is done about until something changes: the object, its Plan, a Provider, a Secret.
        Stalled = "stalled",
        /// A look at the back-ends or an action there was cut off by the deadline; tried again.
        Deadline = "deadline",
    }
}

label! {
    /// What was written to the Kubernetes API.
    WriteVerb {
        /// Finalizers and annotations.
        Metadata = "metadata",
        /// The status subresource.
        Status = "status",
        /// A whole object: made by a schedule, or deleted when its time was over.
        Object = "object",
        /// A Secret.
        Secret = "secret",
        /// An Event.
        Event = "event",
    }
}

label! {
    /// How a write to the Kubernetes API ended.
    WriteResult {
        /// Taken.
        Ok = "ok",
        /// Somebody else was faster; tried again with the newer object.
        Conflict = "conflict",
        /// Anything else.
        Error = "error",
    }
}

label! {
    /// How a sweep over everything at a back-end ended.
    SweepResult {
        /// All was read and compared.
        Ok = "ok",
        /// Something could not be read, or was not believed: nothing followed from it.
        Failed = "failed",
    }
}

label! {
    /// Whose something at a back-end is.
    InventoryState {
        /// An object's.
        Owned = "owned",
        /// It carries the mark of this cluster, but of no object that there is.
        Orphaned = "orphaned",
        /// Somebody else's.
        Foreign = "foreign",
    }
}

impl WriteResult {
    /// The label of a finished write.
    pub fn of<T>(result: &Result<T, kube::Error>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(kube::Error::Api(status)) if status.code == 409 => Self::Conflict,
            Err(_) => Self::Error,
        }
    }
}
