//! The life of one site with trouble on its way, and what has to hold at each station.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::checks::{Neighbours, scripts};
use super::gate::SERVICE;
use super::place::{Place, Running, is_gone, is_ready};
use super::wire::{Point, Touched, Trouble};

/// How long after a point the operator dies that is killed in the middle of what follows: a part of the time that
/// slow back-ends need for anything.
const LATER: Duration = Duration::from_millis(100);

/// See [`either`]. Only a road without its point waits so long.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Something that happens at a point.
pub type Mishap = (Point, Trouble);

/// Where a mishap happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Road {
    /// From nothing to Ready.
    Create,
    /// From Ready to nothing.
    Delete,
    /// Deletion is asked for at a point of the creation.
    Cut,
}

/// One life: from nothing to Ready and back, or from nothing to somewhere on the way and back.
#[derive(Debug, Clone, Default)]
pub struct Case {
    pub create: Option<Mishap>,
    pub delete: Option<Mishap>,
    /// Deletion is asked for here: while the answer is held, or while the operator is dead.
    pub cut: Option<Mishap>,
}

impl Case {
    /// A life with one mishap.
    pub fn only(road: Road, mishap: &Mishap) -> Self {
        let mishap = Some(mishap.clone());
        match road {
            Road::Create => Self {
                create: mishap,
                ..Self::default()
            },
            Road::Delete => Self {
                delete: mishap,
                ..Self::default()
            },
            Road::Cut => Self {
                cut: mishap,
                ..Self::default()
            },
        }
    }

    /// Its mishaps.
    pub fn mishaps(&self) -> Vec<(Road, &Mishap)> {
        let all = [
            (Road::Create, &self.create),
            (Road::Delete, &self.delete),
            (Road::Cut, &self.cut),
        ];
        all.into_iter()
            .filter_map(|(road, mishap)| Some((road, mishap.as_ref()?)))
            .collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (road, (point, trouble)) in self.mishaps() {
            write!(f, "[{road:?}: {trouble:?} after {point}]")?;
        }
        Ok(())
    }
}

/// What a life has shown.
#[derive(Debug, Default)]
pub struct Story {
    /// Calls of the creation.
    pub create: Vec<Point>,
    /// Calls of the deletion.
    pub delete: Vec<Point>,
    /// Mishaps that happened.
    pub met: BTreeSet<(Road, Mishap)>,
    /// How long the parts of the life took.
    pub times: Vec<(&'static str, Duration)>,
}

impl Story {
    fn took(&mut self, part: &'static str, begun: Instant) {
        self.times.push((part, begun.elapsed()));
    }
}

/// Waits until the wire is touched or the road has come to its end. The end may be seen before the answer to the
/// write that made it, so that the wire is given a last moment then.
async fn either(
    mut touched: Touched,
    end: impl Future<Output = Result<(), String>>,
) -> Result<Option<oneshot::Sender<()>>, String> {
    tokio::select! {
        hit = &mut touched => return Ok(hit.ok()),
        ended = end => ended?,
    }
    Ok(timeout(LAST_MOMENT, touched).await.ok().and_then(Result::ok))
}

struct Life<'a> {
    place: &'a mut Place,
    site: &'a str,
    neighbours: &'a Neighbours,
    running: Option<Running>,
    story: Story,
}

/// Lives one life.
pub async fn live(place: &mut Place, site: &str, case: &Case) -> Result<Story, String> {
    let neighbours = Neighbours::move_in(place, site);
    let before = scripts(place);
    let begun = Instant::now();
    let running = place.start_settled().await?;
    let mut life = Life {
        place,
        site,
        neighbours: &neighbours,
        running: Some(running),
        story: Story::default(),
    };
    life.story.took("start", begun);
    let begun = Instant::now();
    if let Some(mishap) = &case.cut {
        life.cut_short(mishap).await?;
    } else {
        life.create(case.create.as_ref()).await?;
        life.story.took("create", begun);
        let begun = Instant::now();
        life.rests_after_restart().await?;
        life.story.took("restart", begun);
        let begun = Instant::now();
        let given = scripts(life.place).difference(&before).count();
        if given != 1 {
            return Err(format!("the container was given {given} different scripts"));
        }
        life.delete(case.delete.as_ref()).await?;
        life.story.took("delete", begun);
    }
    if case.cut.is_some() {
        life.story.took("cut", begun);
    }
    let begun = Instant::now();
    neighbours.nothing_left(life.place, site).await?;
    life.kill();
    life.story.took("end", begun);
    let story = life.story;
    neighbours.move_out(place);
    Ok(story)
}

impl Life<'_> {
    fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Counts from here, with the mishap armed if there is one.
    fn arm(&self, mishap: Option<&Mishap>) -> Option<Touched> {
        match mishap {
            Some((point, trouble)) => Some(self.place.wire.begin_armed(self.site, point, *trouble)),
            None => {
                self.place.wire.begin(self.site);
                None
            }
        }
    }

    async fn apply(&self) -> Result<(), String> {
        let world = &self.place.world;
        world
            .try_apply(&world.site(self.site))
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    async fn ask_for_deletion(&self) -> Result<(), String> {
        let sites = self.place.world.sites();
        let asked = sites.delete(self.site, &Default::default()).await;
        asked.map(drop).map_err(|error| error.to_string())
    }

    async fn wait_ready(&self) -> Result<(), String> {
        self.place.wait_until(self.site, "Ready", is_ready).await
    }

    async fn wait_gone(&self) -> Result<(), String> {
        self.place.wait_until(self.site, "gone", is_gone).await
    }

    async fn create(&mut self, mishap: Option<&Mishap>) -> Result<(), String> {
        let touched = self.arm(mishap);
        self.apply().await?;
        if let (Some(mishap), Some(touched)) = (mishap, touched) {
            let met = either(touched, self.wait_ready()).await?.is_some();
            self.note(Road::Create, mishap, met).await;
        }
        self.wait_ready().await?;
        self.story.create = self.place.wire.points();
        self.neighbours.one_whole_site(self.place, self.site).await
    }

    async fn delete(&mut self, mishap: Option<&Mishap>) -> Result<(), String> {
        let touched = self.arm(mishap);
        self.ask_for_deletion().await?;
        if let (Some(mishap), Some(touched)) = (mishap, touched) {
            let met = either(touched, self.wait_gone()).await?.is_some();
            self.note(Road::Delete, mishap, met).await;
        }
        self.wait_gone().await?;
        self.story.delete = self.place.wire.points();
        Ok(())
    }

    /// Deletion in the middle of the creation.
    async fn cut_short(&mut self, mishap: &Mishap) -> Result<(), String> {
        let touched = self.arm(Some(mishap));
        self.apply().await?;
        let release = match touched {
            None => None,
            Some(touched) => either(touched, self.wait_ready()).await?,
        };
        if release.is_some() {
            self.story.met.insert((Road::Cut, mishap.clone()));
        }
        let dies = release.is_some() && mishap.1 == Trouble::Crash;
        if dies {
            self.kill();
        }
        self.ask_for_deletion().await?;
        drop(release);
        if dies {
            self.running = Some(self.place.start().await);
        }
        self.wait_gone().await
    }

    /// After a crash a new operator takes over.
    async fn note(&mut self, road: Road, mishap: &Mishap, met: bool) {
        if !met {
            return;
        }
        self.story.met.insert((road, mishap.clone()));
        if mishap.1 == Trouble::CrashLater {
            tokio::time::sleep(LATER).await;
        }
        if matches!(mishap.1, Trouble::Crash | Trouble::CrashLater) {
            self.kill();
            self.running = Some(self.place.start().await);
        }
    }

    /// A restarted operator finds a Ready site as it shall be and writes nothing, neither here nor outside.
    async fn rests_after_restart(&mut self) -> Result<(), String> {
        if let Some(running) = self.running.take() {
            running.operator.stop().await;
        }
        let before = self.version();
        let running = self.place.start_settled().await?;
        let writes = running.gate.writes();
        let outside: Vec<String> = self
            .place
            .wire
            .turns()
            .into_keys()
            .filter(|call| !call.contains(" GET ") && !call.contains("/tokens"))
            // The last event of the operator before may still be on its way; the gate of this one counts its own.
            .filter(|call| !call.starts_with(SERVICE))
            .collect();
        let after = self.version();
        self.running = Some(running);
        if !writes.is_empty() || !outside.is_empty() || before != after {
            return Err(format!(
                "a restart over a Ready site wrote {writes:?} and called {outside:?}; version {before:?}, then {after:?}"
            ));
        }
        Ok(())
    }

    fn version(&self) -> Option<String> {
        self.place
            .site(self.site)
            .and_then(|site| site.resource_version())
    }
}
