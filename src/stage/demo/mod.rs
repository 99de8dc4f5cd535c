//! The demo: Hostwright as a hoster sees it, on one machine and without a single real back-end.
//!
//! A real API server, simulated back-ends that other people use too, and the operator as a process of its own.
//! With `once` it plays a whole story and proves its end; else it shows a live table until Ctrl-C.

mod backups;
mod domain;
mod folder;
mod hints;
mod life;
mod look;
mod proof;
mod scene;
mod story;
mod table;
mod zones;

use std::io::{self, IsTerminal, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use self::folder::{Folder, short};
use self::look::Look;
use self::scene::Scene;
use self::table::{Changes, Screen};
use super::StageError;
use crate::runtime::shutdown::Shutdown;

/// How often the sites are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// An operator that ends sooner than this after its start is not started again.
const SHORTEST_LIFE: Duration = Duration::from_secs(3);
/// Sites of the examples.
const SITES: usize = 3;

/// What to play.
#[derive(Debug, Clone)]
pub struct DemoSettings {
    /// Play the whole story without a terminal and end.
    pub once: bool,
    /// Folder for logs, data and kubeconfigs.
    pub folder: PathBuf,
    /// Leave the folder there in the end.
    pub keep: bool,
}

/// Seconds since the start, before every line.
pub struct Clock {
    begun: Instant,
    step: Instant,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            step: now,
        }
    }

    fn say(&self, text: &str) {
        println!("{:6.1} s  {text}", self.begun.elapsed().as_secs_f64());
    }

    /// Says that a part of the story is done, and how long it took.
    fn step(&mut self, text: &str) {
        self.say(&format!("✓ {text} ({:.1} s)", self.step.elapsed().as_secs_f64()));
        self.step = Instant::now();
    }
}

/// Plays the demo.
///
/// # Errors
/// When the stage cannot be set, or what did not hold.
pub async fn demo(settings: &DemoSettings) -> Result<(), StageError> {
    let signals = |source| StageError::Io {
        what: "signals cannot be watched".to_owned(),
        source,
    };
    let (_trigger, shutdown) = Shutdown::on_signals().map_err(signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(signals)?;
    let stop = async move {
        tokio::select! {
            () = shutdown.wait() => {}
            _ = hangup.recv() => {}
        }
    };
    let folder = Folder::make(&settings.folder)?;
    let mut clock = Clock::start();
    let result = play(settings, &folder, &mut clock, stop).await;
    let shown = short(&folder.file(""));
    match result {
        Ok(()) if settings.keep => clock.say(&format!("Everything has ended; logs and data are in {shown}")),
        Ok(()) => {
            folder.remove().await?;
            clock.say("Everything has ended; no process, no port and no file is left");
        }
        Err(error) => {
            return Err(StageError::Other(format!(
                "{error}\n  logs and data are in {shown}"
            )));
        }
    }
    Ok(())
}

async fn play(
    settings: &DemoSettings,
    folder: &Folder,
    clock: &mut Clock,
    stop: impl Future<Output = ()>,
) -> Result<(), StageError> {
    tokio::pin!(stop);
    clock.say("Setting the stage: a real API server, simulated back-ends, the operator (some 10 s)");
    let mut scene = tokio::select! {
        scene = Scene::set(folder.clone()) => scene?,
        () = &mut stop => return interrupted(settings),
    };
    clock.step(&format!(
        "The stage is set: API server {}, back-ends with other people's things in them, the operator",
        scene.cluster.server()
    ));
    let result = if settings.once {
        tokio::select! {
            result = story::play(&mut scene, clock) => result,
            () = &mut stop => interrupted(settings),
        }
    } else {
        tokio::select! {
            result = show(&mut scene, clock) => result,
            () = &mut stop => Ok(()),
        }
    };
    clock.say("Ending operator, API server and simulators");
    let ended = scene.strike().await;
    result.and(ended)
}

/// Ctrl-C is the usual end of the demo, but not of a story that was to be played.
fn interrupted(settings: &DemoSettings) -> Result<(), StageError> {
    match settings.once {
        true => Err(StageError::Other(
            "interrupted before the end of the story".to_owned(),
        )),
        false => Ok(()),
    }
}

/// Shows what happens, until it is dropped.
async fn show(scene: &mut Scene, clock: &mut Clock) -> Result<(), StageError> {
    let mut screen = match stdout().is_terminal() {
        true => Some(Screen::new().await),
        false => None,
    };
    let mut changes = Changes::default();
    let (mut told, mut started) = (false, Instant::now());
    scene.apply_sites().await?;
    clock.step(
        "Three sites on three plans are applied (examples/wordpresssite.yaml, examples/more-sites.yaml)",
    );
    println!();
    loop {
        if let Some(status) = scene.operator.as_mut().and_then(|operator| operator.ended()) {
            if started.elapsed() < SHORTEST_LIFE {
                let operator = scene.operator.take();
                let words = operator.map(|operator| operator.last_words()).unwrap_or_default();
                return Err(StageError::Other(format!(
                    "the operator ended with {status}; it says {words}"
                )));
            }
            if let Some(screen) = &mut screen {
                screen.wipe().map_err(terminal_gone)?;
            }
            clock.say(&format!(
                "The operator ended ({status}); it is started again, as Kubernetes would"
            ));
            scene.start_operator().await?;
            started = Instant::now();
        }
        let look = Look::take(scene).await?;
        match &mut screen {
            Some(screen) => draw(screen, scene, clock, &look).await?,
            None => changes.tell(&look, clock),
        }
        if !told && look.are_ready(SITES) {
            told = true;
            if let Some(screen) = &mut screen {
                screen.wipe().map_err(terminal_gone)?;
            }
            println!();
            clock.step("Three sites are Ready");
            println!("\n{}", hints::text(scene, &look));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn draw(screen: &mut Screen, scene: &Scene, clock: &Clock, look: &Look) -> Result<(), StageError> {
    let pid = scene
        .operator
        .as_ref()
        .and_then(|operator| operator.pid())
        .unwrap_or_default();
    let last = format!(
        "{:.0} s · operator: process {pid}, log {} · Ctrl-C ends everything",
        clock.begun.elapsed().as_secs_f64(),
        short(&scene.operator_log())
    );
    screen.draw(look, &last).await.map_err(terminal_gone)
}

fn terminal_gone(source: io::Error) -> StageError {
    StageError::Io {
        what: "the terminal is gone".to_owned(),
        source,
    }
}
