//! The settings of a script: `--name=value` lines at its top.

use std::str::FromStr;
use std::time::Duration;

use drywire::tcp::{Config, Congestion, Cubic, EcnMode, LateData, NewReno};

use super::ast::Setting;
use super::host::Engine;

/// What the settings of a script come to.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// How far the time of an event may be off.
    pub(super) tolerance: Duration,
    pub(super) ipv6: bool,
    /// What the script is run on: both, unless it says one.
    pub(super) engine: Option<Engine>,
    /// Of a listener of the stack.
    pub(super) syn_queue: usize,
    pub(super) syn_cookies: bool,
    /// Of every socket, until `setsockopt` changes it.
    pub(super) config: Config,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            tolerance: Duration::ZERO,
            ipv6: false,
            engine: None,
            syn_queue: 16,
            syn_cookies: true,
            config: config.clone(),
        }
    }

    /// Applies one setting.
    pub(super) fn apply(&mut self, setting: &Setting) -> Result<(), String> {
        let value = setting.value.as_str();
        let config = &mut self.config;
        match setting.name.as_str() {
            "tolerance_usecs" => self.tolerance = Duration::from_micros(number(value)?),
            "ip_version" => {
                self.ipv6 = match value {
                    "ipv4" => false,
                    "ipv6" => true,
                    _ => return Err(format!("`{value}` is neither ipv4 nor ipv6")),
                }
            }
            "engine" => {
                self.engine = match value {
                    "connection" => Some(Engine::Connection),
                    "stack" => Some(Engine::Stack),
                    _ => return Err(format!("`{value}` is neither connection nor stack")),
                }
            }
            "syn_queue" => self.syn_queue = number(value)?,
            "syn_cookies" => self.syn_cookies = switch(value)?,
            "mss" => config.mss = number(value)?,
            "recv_capacity" => config.recv_capacity = number(value)?,
            "send_capacity" => config.send_capacity = number(value)?,
            "max_out_of_order" => config.max_out_of_order = number(value)?,
            "congestion" => {
                config.congestion = match value {
                    "cubic" => Congestion::Cubic(Cubic::default()),
                    "new_reno" => Congestion::NewReno(NewReno::default()),
                    _ => return Err(format!("`{value}` is neither cubic nor new_reno")),
                }
            }
            "late_data" => {
                config.late_data = match value {
                    "reset" => LateData::Reset,
                    "drop" => LateData::Drop,
                    _ => return Err(format!("`{value}` is neither reset nor drop")),
                }
            }
            "initial_window" => config.initial_window = number(value)?,
            "initial_rto_ms" => config.initial_rto = milliseconds(value)?,
            "min_rto_ms" => config.min_rto = milliseconds(value)?,
            "max_rto_ms" => config.max_rto = milliseconds(value)?,
            "syn_retries" => config.syn_retries = number(value)?,
            "syn_ack_retries" => config.syn_ack_retries = number(value)?,
            "data_retries" => config.data_retries = number(value)?,
            "user_timeout_ms" => config.user_timeout = Some(milliseconds(value)?),
            "no_delay" => config.no_delay = switch(value)?,
            "delayed_ack_ms" => config.delayed_ack = milliseconds(value)?,
            "quick_acks" => config.quick_acks = number(value)?,
            "timestamps" => config.timestamps = switch(value)?,
            "sack" => config.sack = switch(value)?,
            "ecn" => {
                config.ecn = match value {
                    "off" => EcnMode::Off,
                    "accept" => EcnMode::Accept,
                    "request" => EcnMode::Request,
                    _ => return Err(format!("`{value}` is neither off nor accept nor request")),
                }
            }
            "time_wait_ms" => config.time_wait = milliseconds(value)?,
            "fin_wait_2_ms" => config.fin_wait_2 = Some(milliseconds(value)?).filter(|timeout| !timeout.is_zero()),
            "challenge_acks" => config.challenge_acks = number(value)?,
            name => return Err(format!("there is no setting `{name}`")),
        }
        Ok(())
    }
}

fn number<T: FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{value}` is out of range"))
}

fn milliseconds(value: &str) -> Result<Duration, String> {
    number(value).map(Duration::from_millis)
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("`{value}` is neither 0 nor 1")),
    }
}
