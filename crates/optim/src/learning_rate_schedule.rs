use descant_hyperparameters::ScheduleConfig;
use descant_hyperparameters::schedules::PlateauState;
use serde_json::Value;

/// A learning-rate schedule in a training: its configuration, the length of the training, and the state of a plateau.
#[derive(Clone, Debug)]
pub struct Schedule {
    config: ScheduleConfig,
    steps: u64,
    plateau: PlateauState,
}

impl Schedule {
    /// The schedule of a training of `steps` steps.
    pub fn new(config: ScheduleConfig, steps: u64) -> Self {
        Self { config, steps, plateau: PlateauState::default() }
    }

    /// The factor of the learning rate after `step` steps.
    pub fn factor(&self, step: u64) -> f64 {
        match &self.config {
            ScheduleConfig::Plateau(_) => self.plateau.factor,
            config => config.factor(step, self.steps),
        }
    }

    /// Takes note of a validation loss.
    pub fn observe(&mut self, loss: f64) {
        if let ScheduleConfig::Plateau(config) = &self.config {
            self.plateau.observe(config, loss);
        }
    }

    /// The state besides the number of steps, if there is any.
    pub fn state(&self) -> Option<Value> {
        matches!(self.config, ScheduleConfig::Plateau(_)).then(|| self.plateau.to_json())
    }

    /// Restores what [`Schedule::state`] returned.
    ///
    /// # Errors
    /// If it is no such state.
    pub fn restore(&mut self, state: &Value) -> Result<(), String> {
        self.plateau = PlateauState::from_json(state).ok_or("the schedule's state is damaged")?;
        Ok(())
    }
}
