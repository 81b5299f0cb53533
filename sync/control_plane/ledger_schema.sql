-- The ledger's tables. Truth stands first (device, cursor, segment, gap, reject): it is committed
-- before anything is acknowledged. What follows `projected` is derived and can be rebuilt from it.

CREATE TABLE IF NOT EXISTS counter (
  name TEXT PRIMARY KEY CHECK (name IN ('change', 'projected')),
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO counter (name, value) VALUES ('change', 0), ('projected', 0);

-- One row a device that has ever been heard of.
CREATE TABLE IF NOT EXISTS device (
  device_id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  device TEXT NOT NULL,
  live_epoch INTEGER NOT NULL DEFAULT 0,
  boot INTEGER NOT NULL DEFAULT 0,
  version TEXT NOT NULL DEFAULT '',
  online INTEGER NOT NULL DEFAULT 0 CHECK (online IN (0, 1)),
  -- The connection that last said so; an older one may not contradict it. 0 = none has since the
  -- broker was lost.
  presence_epoch INTEGER NOT NULL DEFAULT 0,
  presence_boot INTEGER NOT NULL DEFAULT 0,
  presence_session INTEGER NOT NULL DEFAULT 0,
  first_seen_ms INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL,
  change INTEGER NOT NULL DEFAULT 0,
  UNIQUE (tenant, device)
) STRICT;

-- Serves the change feed.
CREATE INDEX IF NOT EXISTS device_by_change ON device (change);

-- How far each lane is stored without a hole; what an acknowledgement says.
CREATE TABLE IF NOT EXISTS cursor (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  epoch INTEGER NOT NULL,
  lane INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 3),
  acked INTEGER NOT NULL,
  newest INTEGER NOT NULL,
  oldest INTEGER NOT NULL,
  synced_ms INTEGER NOT NULL,
  PRIMARY KEY (device_id, epoch, lane)
) STRICT, WITHOUT ROWID;

-- Every frame of records, kept as it came; ranges of one lane never overlap.
CREATE TABLE IF NOT EXISTS segment (
  segment_id INTEGER PRIMARY KEY AUTOINCREMENT,
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  epoch INTEGER NOT NULL,
  lane INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 3),
  first_seq INTEGER NOT NULL,
  count INTEGER NOT NULL CHECK (count BETWEEN 1 AND 500),
  last_recorded_ms INTEGER NOT NULL,
  received_ms INTEGER NOT NULL,
  -- NULL when it could be read; otherwise why it is in quarantine.
  quarantined TEXT,
  payload BLOB NOT NULL,
  UNIQUE (device_id, epoch, lane, first_seq)
) STRICT;

-- Ranges that a device said it no longer holds and that never arrived.
CREATE TABLE IF NOT EXISTS gap (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  epoch INTEGER NOT NULL,
  lane INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 3),
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  noted_ms INTEGER NOT NULL,
  PRIMARY KEY (device_id, epoch, lane, first_seq)
) STRICT, WITHOUT ROWID;

-- Messages that name no range and so could not be stored as a segment; the newest 1,000 are kept.
CREATE TABLE IF NOT EXISTS reject (
  reject_id INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  reason TEXT NOT NULL,
  received_ms INTEGER NOT NULL,
  payload BLOB NOT NULL
) STRICT;

-- Projection: one row a workflow execution.
CREATE TABLE IF NOT EXISTS execution (
  execution_id INTEGER PRIMARY KEY,
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  workflow_id TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  status TEXT NOT NULL,
  correlation_id TEXT,
  reason TEXT,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  input BLOB,
  output BLOB,
  definition BLOB,
  -- Which record each part came from, as bytes that sort by recency.
  ver BLOB NOT NULL,
  input_ver BLOB,
  output_ver BLOB,
  definition_ver BLOB,
  change INTEGER NOT NULL DEFAULT 0,
  UNIQUE (device_id, workflow_id)
) STRICT;

-- Serves one device's newest executions by its own clock.
CREATE INDEX IF NOT EXISTS execution_by_device ON execution (device_id, created_ms, execution_id);
-- Serves the change feed.
CREATE INDEX IF NOT EXISTS execution_by_change ON execution (change);

-- Projection: one row a task.
CREATE TABLE IF NOT EXISTS task (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  workflow_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  ref TEXT NOT NULL,
  type TEXT NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  iteration INTEGER NOT NULL,
  scheduled_ms INTEGER NOT NULL,
  started_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  worker TEXT,
  reason TEXT,
  input BLOB,
  output BLOB,
  ver BLOB NOT NULL,
  input_ver BLOB,
  output_ver BLOB,
  PRIMARY KEY (device_id, workflow_id, task_id)
) STRICT, WITHOUT ROWID;

-- Projection: where each chunk of a kept file lies; the bytes stay in the segment.
CREATE TABLE IF NOT EXISTS evidence (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  workflow_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  key TEXT NOT NULL,
  chunk INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  media_type TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  path TEXT NOT NULL,
  missing INTEGER NOT NULL CHECK (missing IN (0, 1)),
  segment_id INTEGER NOT NULL REFERENCES segment (segment_id),
  seq INTEGER NOT NULL,
  ver BLOB NOT NULL,
  PRIMARY KEY (device_id, workflow_id, task_id, key, chunk)
) STRICT, WITHOUT ROWID;

-- Projection: records that were stored and cannot be shown; unknown kinds wait here for a release
-- that knows them and a rebuild.
CREATE TABLE IF NOT EXISTS unread (
  segment_id INTEGER NOT NULL REFERENCES segment (segment_id),
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (segment_id, seq)
) STRICT, WITHOUT ROWID;

-- Projection: how long records took from the device's clock to here; buckets grow by 5 %.
CREATE TABLE IF NOT EXISTS lag (
  hour_ms INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  records INTEGER NOT NULL,
  PRIMARY KEY (hour_ms, bucket)
) STRICT, WITHOUT ROWID;

-- Truth: what devices have been told to do. It is never deleted by the ledger itself.
CREATE TABLE IF NOT EXISTS device_order (
  order_key INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id TEXT NOT NULL UNIQUE,
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  kind TEXT NOT NULL,
  -- Of orders that put the same thing the latest counts; empty for those that put nothing.
  subject TEXT NOT NULL,
  body BLOB NOT NULL,
  condition BLOB NOT NULL,
  issued_ms INTEGER NOT NULL,
  issued_by TEXT NOT NULL,
  expires_ms INTEGER NOT NULL,
  -- Its place among the orders of this epoch of the device; 0 = not sent.
  epoch INTEGER NOT NULL DEFAULT 0,
  cseq INTEGER NOT NULL DEFAULT 0,
  sent_ms INTEGER NOT NULL DEFAULT 0,
  sendings INTEGER NOT NULL DEFAULT 0,
  -- When it is to be sent, or sent again.
  due_ms INTEGER NOT NULL DEFAULT 0,
  -- What it came to, told by the device or decided here; NULL while that is open.
  ended TEXT CHECK (ended IN ('done', 'failed', 'expired', 'superseded')),
  ended_ms INTEGER NOT NULL DEFAULT 0,
  reason TEXT,
  output BLOB
) STRICT;

-- The orders of one device, newest last.
CREATE INDEX IF NOT EXISTS device_order_of ON device_order (device_id, order_key);
-- What has still to be sent, or to be heard of.
CREATE INDEX IF NOT EXISTS device_order_open ON device_order (due_ms) WHERE ended IS NULL;
-- The same of one device: it may have had thousands that have ended.
CREATE INDEX IF NOT EXISTS device_order_waiting ON device_order (device_id, order_key)
WHERE ended IS NULL;
-- What was never sent and is too late now.
CREATE INDEX IF NOT EXISTS device_order_expiry ON device_order (expires_ms)
WHERE ended IS NULL AND cseq = 0;
-- Which order stands at a place?
CREATE INDEX IF NOT EXISTS device_order_place ON device_order (device_id, epoch, cseq)
WHERE cseq > 0;

-- How far a device is known to have come with its orders.
CREATE TABLE IF NOT EXISTS order_line (
  device_id INTEGER PRIMARY KEY REFERENCES device (device_id),
  epoch INTEGER NOT NULL,
  cack INTEGER NOT NULL,
  next_cseq INTEGER NOT NULL,
  -- Ids of the keys whose orders it takes, 16 hexadecimal digits each; empty = it takes none.
  keys TEXT NOT NULL
) STRICT;

-- Projection: what devices say that they have shed of what was not acknowledged. A gap that lies in
-- none of these ranges was lost; one that does was given up, for the reason that stands here.
CREATE TABLE IF NOT EXISTS shed (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  epoch INTEGER NOT NULL,
  lane INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 3),
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  reason TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  kinds BLOB NOT NULL,
  recorded_ms INTEGER NOT NULL,
  PRIMARY KEY (device_id, epoch, lane, first_seq)
) STRICT, WITHOUT ROWID;

-- The run of a device's program that last said hello in an epoch: two of them at once are two devices.
CREATE TABLE IF NOT EXISTS device_run (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  epoch INTEGER NOT NULL,
  boot INTEGER NOT NULL,
  run BLOB NOT NULL,
  nonce INTEGER NOT NULL,
  PRIMARY KEY (device_id, epoch)
) STRICT, WITHOUT ROWID;

-- How far with its orders that hello said that the device was: one that comes later and says less is
-- of a copy. Absent = it had dealt with none.
CREATE TABLE IF NOT EXISTS device_place (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  epoch INTEGER NOT NULL,
  place INTEGER NOT NULL,
  PRIMARY KEY (device_id, epoch)
) STRICT, WITHOUT ROWID;

-- Things about devices that a person should know; the same again is counted.
CREATE TABLE IF NOT EXISTS notice (
  notice_id INTEGER PRIMARY KEY AUTOINCREMENT,
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  times INTEGER NOT NULL,
  UNIQUE (device_id, kind, text)
) STRICT;

-- Projection: how far devices' clocks were behind ours, and the jumps that they made.
CREATE TABLE IF NOT EXISTS clock (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  epoch INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  offset_ms INTEGER NOT NULL,
  error_ms INTEGER NOT NULL,
  jumps BLOB NOT NULL,
  PRIMARY KEY (device_id, epoch, at_ms)
) STRICT, WITHOUT ROWID;
