-- What people have made: tokens, groups, rules, and the audit of all they have done. None of it is
-- derived from what devices send, and a rebuild leaves it alone.

-- Who may use the API. Of a token only a digest is kept.
CREATE TABLE IF NOT EXISTS api_token (
  token_id TEXT PRIMARY KEY,
  -- '*' is for all tenants.
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  -- JSON list; empty means everywhere.
  areas TEXT NOT NULL,
  digest BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  -- 0 = for ever.
  expires_ms INTEGER NOT NULL,
  -- 0 = it is good.
  revoked_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS tenant (
  tenant TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;

-- Every change that somebody made, each with a digest over itself and the one before it.
CREATE TABLE IF NOT EXISTS audit (
  entry INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  -- JSON.
  detail TEXT NOT NULL,
  digest BLOB NOT NULL
) STRICT;

-- Serves the newest entries of one tenant.
CREATE INDEX IF NOT EXISTS audit_by_tenant ON audit (tenant, entry);

-- How far what follows has come with the changes of devices.
CREATE TABLE IF NOT EXISTS progress (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT;

INSERT OR IGNORE INTO progress (name, value) VALUES ('fleet', 0);

-- The last segment of the lanes control and urgent that is in view; they do not wait for the rest.
INSERT OR IGNORE INTO progress (name, value)
SELECT 'pressing', value FROM counter WHERE name = 'projected';

-- Serves: the next of these segments, wherever the rest stands.
CREATE INDEX IF NOT EXISTS segment_pressing ON segment (segment_id) WHERE lane < 2;

-- Projection: one row a device, in the order of the names, with all that lists show and searches ask.
CREATE TABLE IF NOT EXISTS fleet (
  tenant TEXT NOT NULL,
  device TEXT NOT NULL,
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  state TEXT NOT NULL CHECK (state IN ('online', 'lagging', 'offline', 'never')),
  first_seen_ms INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL,
  synced_ms INTEGER NOT NULL,
  backlog INTEGER NOT NULL,
  records INTEGER NOT NULL,
  missing INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  boot INTEGER NOT NULL,
  version TEXT NOT NULL,
  PRIMARY KEY (tenant, device)
) STRICT, WITHOUT ROWID;

-- Projection: how many devices are in each state, and run each release.
CREATE TABLE IF NOT EXISTS fleet_count (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('state', 'version')),
  value TEXT NOT NULL,
  devices INTEGER NOT NULL,
  PRIMARY KEY (tenant, kind, value)
) STRICT, WITHOUT ROWID;

-- Serves one device, and what joins it.
CREATE UNIQUE INDEX IF NOT EXISTS fleet_by_id ON fleet (device_id);
-- Serves the devices in one state, and the counts.
CREATE INDEX IF NOT EXISTS fleet_by_state ON fleet (tenant, state, device);
-- Serves the devices of one release, and the counts.
CREATE INDEX IF NOT EXISTS fleet_by_version ON fleet (tenant, version, device);
-- Serves those that have been silent for longest.
CREATE INDEX IF NOT EXISTS fleet_by_seen ON fleet (tenant, last_seen_ms, device);
-- Serves those that are furthest behind.
CREATE INDEX IF NOT EXISTS fleet_by_backlog ON fleet (tenant, backlog, device);

-- Words that people put on devices.
CREATE TABLE IF NOT EXISTS device_tag (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  tag TEXT NOT NULL,
  PRIMARY KEY (device_id, tag)
) STRICT, WITHOUT ROWID;

-- Serves the devices with one tag.
CREATE INDEX IF NOT EXISTS device_tag_by_tag ON device_tag (tag, device_id);

CREATE TABLE IF NOT EXISTS device_group (
  group_id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  -- A dynamic group is a query; NULL = its members are listed.
  query TEXT,
  created_ms INTEGER NOT NULL,
  UNIQUE (tenant, name)
) STRICT;

CREATE TABLE IF NOT EXISTS device_group_member (
  group_id INTEGER NOT NULL REFERENCES device_group (group_id),
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  PRIMARY KEY (group_id, device_id)
) STRICT, WITHOUT ROWID;

-- Serves the groups of one device.
CREATE INDEX IF NOT EXISTS device_group_member_by_device ON device_group_member (device_id);

-- Projection: how executions ended, by the hour that they began in; hour -1 is all of them.
CREATE TABLE IF NOT EXISTS tally (
  tenant TEXT NOT NULL,
  hour_ms INTEGER NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  executions INTEGER NOT NULL,
  PRIMARY KEY (tenant, hour_ms, name, status)
) STRICT, WITHOUT ROWID;

-- Projection: what a device did, by the hour that its executions began in.
CREATE TABLE IF NOT EXISTS device_hour (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  hour_ms INTEGER NOT NULL,
  executions INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  PRIMARY KEY (device_id, hour_ms)
) STRICT, WITHOUT ROWID;

-- Serves what all devices did of late.
CREATE INDEX IF NOT EXISTS device_hour_by_hour ON device_hour (hour_ms, device_id);

-- Serves the search for one execution by its id.
CREATE INDEX IF NOT EXISTS execution_by_workflow ON execution (workflow_id);
-- Serves the search by what others call an execution.
CREATE INDEX IF NOT EXISTS execution_by_correlation ON execution (correlation_id)
WHERE correlation_id IS NOT NULL;
-- Serves the definition of an execution that was told with another one.
CREATE INDEX IF NOT EXISTS execution_defined ON execution (device_id, name, version)
WHERE definition IS NOT NULL;

-- Serves the number of all records.
CREATE INDEX IF NOT EXISTS segment_counts ON segment (quarantined, count);

-- Orders to many devices. Who they are is frozen when it is made.
CREATE TABLE IF NOT EXISTS campaign (
  campaign_id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  title TEXT NOT NULL,
  kind TEXT NOT NULL,
  body BLOB NOT NULL,
  condition BLOB NOT NULL,
  query TEXT NOT NULL,
  members INTEGER NOT NULL,
  per_minute INTEGER NOT NULL CHECK (per_minute > 0),
  created_ms INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires_ms INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'stopped', 'finished')),
  given INTEGER NOT NULL
) STRICT;

-- Serves the newest campaigns.
CREATE INDEX IF NOT EXISTS campaign_by_tenant ON campaign (tenant, created_ms);
-- Serves the look for those that have orders to give.
CREATE INDEX IF NOT EXISTS campaign_running ON campaign (created_ms) WHERE state = 'running';

CREATE TABLE IF NOT EXISTS campaign_member (
  campaign_id TEXT NOT NULL REFERENCES campaign (campaign_id),
  place INTEGER NOT NULL,
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  -- NULL = its turn has not come.
  order_id TEXT,
  PRIMARY KEY (campaign_id, place)
) STRICT, WITHOUT ROWID;

-- Serves what one device is meant for.
CREATE INDEX IF NOT EXISTS campaign_member_by_device ON campaign_member (device_id, campaign_id);

-- Versions of what devices are wanted to have.
CREATE TABLE IF NOT EXISTS wanted (
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  revision INTEGER NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  body BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  campaign_id TEXT NOT NULL REFERENCES campaign (campaign_id),
  rollback_to INTEGER NOT NULL,
  PRIMARY KEY (tenant, subject, revision)
) STRICT, WITHOUT ROWID;

-- Serves the newest order about one thing on one device.
CREATE INDEX IF NOT EXISTS device_order_subject ON device_order (device_id, subject, order_key)
WHERE subject <> '';

CREATE TABLE IF NOT EXISTS alert_channel (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('webhook', 'email', 'mqtt')),
  -- A web address, an e-mail address, a topic.
  address TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS alert_rule (
  rule_id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  -- JSON, as the API takes it.
  document TEXT NOT NULL,
  UNIQUE (tenant, name)
) STRICT;

CREATE TABLE IF NOT EXISTS alert (
  alert_id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  rule TEXT NOT NULL,
  -- A device, or a workflow.
  subject TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
  since_ms INTEGER NOT NULL,
  fired_ms INTEGER NOT NULL,
  resolved_ms INTEGER NOT NULL,
  value TEXT NOT NULL,
  acknowledged_by TEXT NOT NULL DEFAULT ''
) STRICT;

-- One that is open for each subject of a rule.
CREATE UNIQUE INDEX IF NOT EXISTS alert_open ON alert (tenant, rule, subject)
WHERE state <> 'resolved';
-- Serves the list.
CREATE INDEX IF NOT EXISTS alert_by_state ON alert (tenant, state, alert_id);

CREATE TABLE IF NOT EXISTS alert_delivery (
  delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  channel TEXT NOT NULL,
  -- JSON.
  message TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  -- 0 = not yet.
  done_ms INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT ''
) STRICT;

-- Serves the look for what is to be sent.
CREATE INDEX IF NOT EXISTS alert_delivery_due ON alert_delivery (due_ms) WHERE done_ms = 0;

-- Truth: what was fetched and is not to be kept any more. Its content is taken out of the segments.
CREATE TABLE IF NOT EXISTS fetch_removed (
  order_id TEXT PRIMARY KEY,
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  removed_ms INTEGER NOT NULL
) STRICT;

-- Serve the newest orders that are open, those of a kind, and those that came to nothing, where these
-- are the fewer ones; SQLite takes them for the very same words only, and so for no other statement.
CREATE INDEX IF NOT EXISTS device_order_unended ON device_order (order_key) WHERE ended IS NULL;
CREATE INDEX IF NOT EXISTS device_order_rare ON device_order (kind, order_key) WHERE kind <> 'start';
CREATE INDEX IF NOT EXISTS device_order_missed ON device_order (ended, order_key)
WHERE ended IN ('failed', 'expired', 'superseded');
-- Serves the list of what has been ordered to be fetched.
CREATE INDEX IF NOT EXISTS device_order_fetches ON device_order (order_key)
WHERE kind IN ('fetch-journal', 'fetch-task-logs', 'fetch-file', 'fetch-execution');

-- Projection: what devices have found that they were ordered to fetch.
CREATE TABLE IF NOT EXISTS fetched (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  order_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  name TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  -- Records of the bulk lane that the answer consists of, and the sequence of the first.
  count INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  cut INTEGER NOT NULL CHECK (cut IN (0, 1)),
  ver BLOB NOT NULL,
  PRIMARY KEY (device_id, order_id)
) STRICT, WITHOUT ROWID;

-- Projection: where each chunk of a file that was fetched lies; the bytes stay in the segment.
CREATE TABLE IF NOT EXISTS fetched_part (
  device_id INTEGER NOT NULL REFERENCES device (device_id),
  order_id TEXT NOT NULL,
  part INTEGER NOT NULL,
  missing INTEGER NOT NULL CHECK (missing IN (0, 1)),
  segment_id INTEGER NOT NULL REFERENCES segment (segment_id),
  seq INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  ver BLOB NOT NULL,
  PRIMARY KEY (device_id, order_id, part)
) STRICT, WITHOUT ROWID;

-- Serves the removal of content.
CREATE INDEX IF NOT EXISTS fetched_part_here ON fetched_part (order_id, device_id) WHERE missing = 0;
