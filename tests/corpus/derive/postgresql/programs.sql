-- states: rows
-- case: view-create
-- form: CREATE VIEW
-- states: empty rows nulls foreign_keys
-- forward
CREATE VIEW grown (who, years) AS SELECT email, age FROM users WHERE age > 17;

-- case: view-create-options
-- form: CREATE VIEW
-- forward
CREATE VIEW grown WITH (security_barrier) AS SELECT * FROM users WHERE age > 17 WITH LOCAL CHECK OPTION;

-- case: view-replace-new
-- form: CREATE OR REPLACE VIEW
-- forward
CREATE OR REPLACE VIEW grown AS SELECT email FROM users;

-- case: view-replace
-- form: CREATE OR REPLACE VIEW
-- setup
CREATE VIEW grown AS SELECT id, email FROM users WHERE name IN ('a', 'b');
COMMENT ON VIEW grown IS 'first';
COMMENT ON COLUMN grown.email IS 'of it';
GRANT SELECT ON grown TO reader;
GRANT UPDATE (email) ON grown TO writer;
ALTER VIEW grown ALTER COLUMN email SET DEFAULT 'x';
-- forward
CREATE OR REPLACE VIEW grown AS SELECT id, email FROM users WHERE age > 17;

-- case: view-replace-more-columns
-- form: CREATE OR REPLACE VIEW
-- setup
CREATE VIEW grown AS SELECT id, email FROM users;
-- forward
CREATE OR REPLACE VIEW grown WITH (security_barrier) AS SELECT id, email, age FROM users;

-- case: view-replace-used
-- form: CREATE OR REPLACE VIEW
-- setup
CREATE VIEW grown AS SELECT id, email FROM users;
CREATE VIEW more AS SELECT id FROM grown;
-- forward
CREATE OR REPLACE VIEW grown WITH (security_barrier) AS SELECT id, email FROM users WHERE age > 5;

-- case: view-replace-used-more-columns
-- form: CREATE OR REPLACE VIEW
-- states: empty
-- expect: held cannot drop columns from view
-- setup
CREATE VIEW grown AS SELECT id, email FROM users;
CREATE VIEW more AS SELECT id FROM grown;
-- forward
CREATE OR REPLACE VIEW grown AS SELECT id, email, age FROM users;
-- since
SELECT 1;

-- case: view-drop
-- form: DROP VIEW
-- setup
CREATE VIEW grown WITH (security_barrier) AS SELECT id, email AS "E Mail" FROM users WHERE note IS NULL WITH CASCADED CHECK OPTION;
COMMENT ON VIEW grown IS 'first';
COMMENT ON COLUMN grown."E Mail" IS 'of it';
GRANT SELECT ON grown TO reader WITH GRANT OPTION;
ALTER VIEW grown OWNER TO writer;
-- forward
DROP VIEW grown;

-- case: view-drop-with-trigger
-- form: DROP VIEW
-- setup
CREATE VIEW grown AS SELECT id, email FROM users;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER grown_insert INSTEAD OF INSERT ON grown FOR EACH ROW EXECUTE FUNCTION instead();
CREATE RULE grown_delete AS ON DELETE TO grown DO INSTEAD NOTHING;
-- forward
DROP VIEW IF EXISTS grown;

-- case: view-drop-two
-- form: DROP VIEW
-- setup
CREATE VIEW one AS SELECT id, email FROM users;
CREATE VIEW two AS SELECT id FROM one;
-- forward
DROP VIEW two, one;

-- case: view-drop-used
-- form: DROP VIEW
-- states: empty
-- expect: guarded because other objects depend on it
-- setup
CREATE VIEW one AS SELECT id, email FROM users;
CREATE VIEW two AS SELECT id FROM one;
-- forward
DROP VIEW one;

-- case: view-drop-used-cascade
-- form: DROP VIEW CASCADE
-- states: empty
-- expect: guarded rule _RETURN on view two would go with one
-- setup
CREATE VIEW one AS SELECT id, email FROM users;
CREATE VIEW two AS SELECT id FROM one;
-- forward
DROP VIEW one CASCADE;

-- case: view-drop-unused-cascade
-- form: DROP VIEW CASCADE
-- setup
CREATE VIEW one AS SELECT id, email FROM users;
-- forward
DROP VIEW one CASCADE;

-- case: view-drop-if-exists-missing
-- form: DROP VIEW IF EXISTS
-- forward: changes nothing
-- forward
DROP VIEW IF EXISTS nothing;

-- case: view-rename
-- form: ALTER VIEW RENAME
-- setup
CREATE VIEW one AS SELECT id, email FROM users;
-- forward
ALTER VIEW one RENAME TO two;
ALTER VIEW two RENAME COLUMN email TO mail;

-- case: view-options
-- form: ALTER VIEW SET
-- setup
CREATE VIEW one WITH (security_barrier = false) AS SELECT id, email FROM users;
-- forward
ALTER VIEW one SET (security_barrier = true, check_option = local);

-- case: view-default
-- form: ALTER VIEW SET DEFAULT
-- setup
CREATE VIEW one AS SELECT id, email FROM users;
-- forward
ALTER VIEW one ALTER COLUMN email SET DEFAULT 'me';

-- case: materialized-create
-- form: CREATE MATERIALIZED VIEW
-- forward
CREATE MATERIALIZED VIEW counts AS SELECT org_id, count(*) AS n FROM users GROUP BY 1;
CREATE UNIQUE INDEX counts_org ON counts (org_id);

-- case: materialized-create-if-not-exists
-- form: CREATE MATERIALIZED VIEW IF NOT EXISTS
-- forward: changes nothing
-- setup
CREATE MATERIALIZED VIEW counts AS SELECT 1 AS one;
-- forward
CREATE MATERIALIZED VIEW IF NOT EXISTS counts AS SELECT 2 AS two;

-- case: materialized-drop
-- form: DROP MATERIALIZED VIEW
-- setup
CREATE MATERIALIZED VIEW counts WITH (fillfactor = 80) AS SELECT org_id, count(*) AS n FROM users GROUP BY 1;
CREATE UNIQUE INDEX counts_org ON counts (org_id);
COMMENT ON MATERIALIZED VIEW counts IS 'how many';
COMMENT ON COLUMN counts.n IS 'of them';
COMMENT ON INDEX counts_org IS 'each once';
GRANT SELECT ON counts TO reader;
ALTER MATERIALIZED VIEW counts CLUSTER ON counts_org;
-- forward
DROP MATERIALIZED VIEW counts;

-- case: materialized-drop-empty
-- form: DROP MATERIALIZED VIEW
-- setup
CREATE MATERIALIZED VIEW counts AS SELECT id FROM users WITH NO DATA;
-- forward
DROP MATERIALIZED VIEW IF EXISTS counts;

-- case: materialized-rename
-- form: ALTER MATERIALIZED VIEW RENAME
-- setup
CREATE MATERIALIZED VIEW counts AS SELECT id FROM users;
-- forward
ALTER MATERIALIZED VIEW counts RENAME TO sums;

-- case: materialized-refresh
-- form: REFRESH MATERIALIZED VIEW
-- states: empty
-- expect: refused what a materialized view held before
-- forward
REFRESH MATERIALIZED VIEW counts;

-- case: function-create
-- form: CREATE FUNCTION
-- forward
CREATE FUNCTION plus(a int, b int DEFAULT 1, OUT c int, VARIADIC rest text[] DEFAULT '{}') LANGUAGE sql AS 'SELECT a + b';

-- case: function-create-overload
-- form: CREATE FUNCTION
-- setup
CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 1';
-- forward
CREATE FUNCTION f(a int, u users, m mood[]) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION f() RETURNS TABLE (x int, y text) LANGUAGE sql AS 'SELECT 2, NULL::text';

-- case: function-create-atomic
-- form: CREATE FUNCTION
-- forward
CREATE FUNCTION ages() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC SELECT age FROM users; END;

-- case: function-replace-new
-- form: CREATE OR REPLACE FUNCTION
-- forward
CREATE OR REPLACE FUNCTION plus(a int, b numeric(5, 2)) RETURNS numeric LANGUAGE sql AS $$ SELECT a + b $$;

-- case: function-replace
-- form: CREATE OR REPLACE FUNCTION
-- setup
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE STRICT COST 7 AS $$ SELECT a + b -- it's "so" \ $$;
COMMENT ON FUNCTION plus(int, int) IS 'adds';
GRANT EXECUTE ON FUNCTION plus(int, int) TO reader;
REVOKE EXECUTE ON FUNCTION plus(int, int) FROM PUBLIC;
CREATE INDEX users_plus ON users (plus(age, id));
-- forward
CREATE OR REPLACE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT b + a $$;

-- case: function-replace-default-added
-- form: CREATE OR REPLACE FUNCTION
-- setup
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT a + b $$;
COMMENT ON FUNCTION plus IS 'adds';
REVOKE EXECUTE ON FUNCTION plus FROM PUBLIC;
ALTER FUNCTION plus OWNER TO writer;
-- forward
CREATE OR REPLACE FUNCTION plus(a int, b int DEFAULT 5) RETURNS int LANGUAGE sql AS $$ SELECT a + b $$;

-- case: function-replace-twice
-- form: CREATE OR REPLACE FUNCTION
-- forward
CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 2';

-- case: procedure-create
-- form: CREATE PROCEDURE
-- forward
CREATE PROCEDURE tidy(a int, OUT b int) LANGUAGE plpgsql AS $$ BEGIN b := a; END $$;

-- case: procedure-replace
-- form: CREATE OR REPLACE PROCEDURE
-- setup
CREATE PROCEDURE tidy(INOUT a int) LANGUAGE plpgsql SET work_mem = '4MB' AS $$ BEGIN a := 1; END $$;
-- forward
CREATE OR REPLACE PROCEDURE tidy(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN a := 2; END $$;

-- case: function-drop
-- form: DROP FUNCTION
-- setup
CREATE FUNCTION plus(a int, b int DEFAULT 3) RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$ SELECT a + b $$;
COMMENT ON FUNCTION plus(int, int) IS 'adds';
GRANT EXECUTE ON FUNCTION plus(int, int) TO reader WITH GRANT OPTION;
ALTER FUNCTION plus(int, int) OWNER TO writer;
CREATE PROCEDURE tidy(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN a := 1; END $$;
-- forward
DROP FUNCTION plus(int, int);
DROP PROCEDURE tidy;

-- case: function-drop-unspecified
-- form: DROP FUNCTION
-- setup
CREATE FUNCTION plus(a int, b users) RETURNS int LANGUAGE sql AS $$ SELECT a $$;
-- forward
DROP FUNCTION IF EXISTS plus, nothing(int);

-- case: function-drop-cascade-used
-- form: DROP FUNCTION CASCADE
-- states: triggers
-- expect: guarded trigger users_noted on table users would go with noted
-- forward
DROP FUNCTION noted() CASCADE;

-- case: function-drop-used
-- form: DROP FUNCTION
-- states: triggers
-- expect: guarded because other objects depend on it
-- forward
DROP FUNCTION noted();

-- case: function-alter
-- form: ALTER FUNCTION
-- setup
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT a + b $$;
-- forward
ALTER FUNCTION plus(int, int) IMMUTABLE COST 3 PARALLEL SAFE SET work_mem = '1MB';

-- case: function-rename
-- form: ALTER FUNCTION RENAME
-- setup
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT a + b $$;
-- forward
ALTER FUNCTION plus(int, int) RENAME TO add;

-- case: function-owner
-- form: ALTER FUNCTION OWNER TO
-- setup
CREATE FUNCTION plus(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT a + b $$;
-- forward
ALTER FUNCTION plus OWNER TO writer;

-- case: aggregate
-- form: CREATE AGGREGATE
-- states: empty
-- expect: refused this form is not derived
-- forward
CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');

-- case: aggregate-drop
-- form: DROP AGGREGATE
-- states: empty
-- expect: refused DROP AGGREGATE is not derived
-- forward
DROP AGGREGATE total(int);

-- case: trigger-create
-- form: CREATE TRIGGER
-- setup
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
-- forward
CREATE TRIGGER hush AFTER INSERT OR UPDATE OF name ON users FOR EACH ROW WHEN (NEW.age > 3) EXECUTE FUNCTION quiet();
CREATE CONSTRAINT TRIGGER late AFTER DELETE ON users DEFERRABLE FOR EACH ROW EXECUTE FUNCTION quiet();

-- case: trigger-replace
-- form: CREATE OR REPLACE TRIGGER
-- setup
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER hush AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION quiet();
COMMENT ON TRIGGER hush ON users IS 'quiet';
ALTER TABLE users ENABLE ALWAYS TRIGGER hush;
-- forward
CREATE OR REPLACE TRIGGER hush AFTER UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION quiet();
CREATE OR REPLACE TRIGGER other AFTER UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION quiet();

-- case: trigger-drop
-- form: DROP TRIGGER
-- states: triggers
-- setup
COMMENT ON TRIGGER users_noted ON users IS 'all is noted';
ALTER TABLE users ENABLE REPLICA TRIGGER users_noted;
-- forward
DROP TRIGGER users_noted ON users;
DROP TRIGGER IF EXISTS logs_stamped ON logs;
DROP TRIGGER IF EXISTS logs_stamped ON logs;

-- case: trigger-rename
-- form: ALTER TRIGGER RENAME
-- states: triggers
-- forward
ALTER TRIGGER users_noted ON users RENAME TO "Noted";

-- case: trigger-disable
-- form: DISABLE TRIGGER
-- states: triggers
-- forward
ALTER TABLE users DISABLE TRIGGER users_noted;

-- case: trigger-disable-all
-- form: DISABLE TRIGGER
-- states: triggers empty
-- forward
ALTER TABLE users DISABLE TRIGGER ALL;

-- case: trigger-disable-all-then-key-dropped
-- form: DISABLE TRIGGER
-- states: foreign_keys
-- forward
ALTER TABLE users DISABLE TRIGGER ALL;
ALTER TABLE orders DROP CONSTRAINT orders_user_fkey;

-- case: trigger-enable-all-some-disabled
-- form: ENABLE TRIGGER
-- states: foreign_keys
-- expect: guarded users has triggers of foreign keys that are disabled
-- setup
ALTER TABLE users DISABLE TRIGGER ALL;
-- forward
ALTER TABLE users ENABLE TRIGGER ALL;

-- case: trigger-enable-user
-- form: ENABLE TRIGGER
-- states: triggers
-- setup
ALTER TABLE users DISABLE TRIGGER users_noted;
-- forward
ALTER TABLE users ENABLE TRIGGER USER;

-- case: trigger-always
-- form: ENABLE TRIGGER
-- states: triggers
-- forward
ALTER TABLE users ENABLE ALWAYS TRIGGER users_noted;

-- case: trigger-in-partitions
-- form: DISABLE TRIGGER
-- states: empty
-- setup
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE events (id int) PARTITION BY LIST (id);
CREATE TABLE events_one PARTITION OF events FOR VALUES IN (1);
CREATE TABLE events_two PARTITION OF events FOR VALUES IN (2);
CREATE TRIGGER hush AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION quiet();
ALTER TABLE events_two ENABLE ALWAYS TRIGGER hush;
-- forward
ALTER TABLE events DISABLE TRIGGER hush;

-- case: trigger-drop-partitioned
-- form: DROP TRIGGER
-- states: empty
-- setup
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE events (id int) PARTITION BY LIST (id);
CREATE TABLE events_one PARTITION OF events FOR VALUES IN (1);
CREATE TRIGGER hush AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION quiet();
-- forward
DROP TRIGGER hush ON events;

-- case: rule-create
-- form: CREATE RULE
-- forward
CREATE RULE keep AS ON DELETE TO users DO INSTEAD NOTHING;

-- case: rule-replace
-- form: CREATE OR REPLACE RULE
-- setup
CREATE RULE keep AS ON DELETE TO users WHERE OLD.name IN ('a', 'b') DO INSTEAD (UPDATE users SET note = 'gone' WHERE id = OLD.id; DELETE FROM logs);
COMMENT ON RULE keep ON users IS 'they stay';
-- forward
CREATE OR REPLACE RULE keep AS ON DELETE TO users DO INSTEAD NOTHING;

-- case: rule-drop
-- form: DROP RULE
-- setup
CREATE RULE keep AS ON DELETE TO users DO ALSO DELETE FROM logs;
ALTER TABLE users DISABLE RULE keep;
-- forward
DROP RULE keep ON users;

-- case: rule-disable
-- form: DISABLE RULE
-- setup
CREATE RULE keep AS ON DELETE TO users DO ALSO DELETE FROM logs;
-- forward
ALTER TABLE users DISABLE RULE keep;

-- case: rule-rename
-- form: ALTER RULE RENAME
-- setup
CREATE RULE keep AS ON DELETE TO users DO ALSO DELETE FROM logs;
-- forward
ALTER RULE keep ON users RENAME TO hold;

-- case: policy-create
-- form: CREATE POLICY
-- forward
CREATE POLICY mine ON users FOR SELECT TO reader USING (email = current_user);

-- case: policy-alter
-- form: ALTER POLICY
-- setup
CREATE POLICY mine ON users AS RESTRICTIVE FOR UPDATE TO reader, writer USING (name IN ('a', 'b')) WITH CHECK (age > 5);
COMMENT ON POLICY mine ON users IS 'mine';
-- forward
ALTER POLICY mine ON users TO PUBLIC USING (true);

-- case: policy-drop
-- form: DROP POLICY
-- setup
CREATE POLICY mine ON users FOR INSERT WITH CHECK (org_id IN (SELECT id FROM orgs));
-- forward
DROP POLICY mine ON users;

-- case: policy-rename
-- form: ALTER POLICY RENAME
-- setup
CREATE POLICY mine ON users USING (true);
-- forward
ALTER POLICY mine ON users RENAME TO ours;
