//! Places in the engine's tables: four bytes instead of three strings.

macro_rules! index {
    ($($name:ident),+) => {
        $(
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub(super) struct $name(pub(super) u32);

            impl $name {
                pub(super) fn at(self) -> usize {
                    self.0 as usize
                }
            }
        )+
    };
}

index!(TargetIx, CampaignIx, ProjectIx, CredentialIx, InstanceIx, GroupIx, LaneIx, ClassIx);
