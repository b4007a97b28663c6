-- state: empty

-- state: rows
INSERT INTO orgs (name, plan) VALUES ('acme', 'pro'), ('bolt', 'free'), ('coil', NULL);
INSERT INTO users (org_id, email, name, age, balance, feeling, note, created_at) VALUES
    (1, 'Ann@acme.example', 'Ann', 31, 10.50, 'happy', 'first', '2025-01-01 10:00+00'),
    (1, 'bob@acme.example', 'Bob', 42, 0, 'sad', '', '2025-01-02 11:00+00'),
    (2, 'cid@bolt.example', 'Cid', 27, 99.99, 'fine', 'it''s', '2025-01-03 12:00+00');
INSERT INTO logs VALUES ('2025-01-01 00:00+00', 'one'), ('2025-01-02 00:00+00', 'two');

-- state: nulls
INSERT INTO orgs (name, plan) VALUES ('acme', NULL);
INSERT INTO users (org_id, email, name, age, balance, feeling, note, created_at) VALUES
    (NULL, 'a', NULL, NULL, 0, NULL, NULL, NULL),
    (NULL, 'b', NULL, 5, 1, NULL, NULL, NULL);
INSERT INTO logs VALUES (NULL, NULL), (NULL, 'x');

-- state: duplicates
INSERT INTO orgs (name, plan) VALUES ('acme', 'pro'), ('bolt', 'pro');
INSERT INTO users (org_id, email, name, age, balance, note, created_at)
    SELECT 1, 'same@acme.example', 'Same', 40, 5, 'same', '2025-01-01 10:00+00' FROM generate_series(1, 5);
INSERT INTO logs SELECT '2025-01-01 00:00+00', 'same' FROM generate_series(1, 4);
INSERT INTO logs VALUES (NULL, NULL), (NULL, NULL);

-- state: foreign_keys
INSERT INTO orgs (name) VALUES ('acme'), ('bolt');
INSERT INTO users (org_id, email, age, created_at) VALUES (1, 'a', 20, '2025-01-01'), (2, 'b', 30, '2025-01-01');
INSERT INTO orders (user_id, total, placed) VALUES (1, 5.5, '2025-02-01'), (1, 7, NULL), (2, 0, '2025-02-03');
CREATE TABLE memberships (
    user_id int REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE,
    org_id int REFERENCES orgs ON DELETE SET NULL,
    PRIMARY KEY (user_id)
);
INSERT INTO memberships VALUES (1, 1), (2, 2);
INSERT INTO logs VALUES ('2025-01-01 00:00+00', 'one');

-- state: triggers
INSERT INTO orgs (name) VALUES ('acme'), ('bolt');
INSERT INTO users (org_id, email, age, created_at) VALUES (1, 'a', 20, '2025-01-01'), (2, 'b', 30, '2025-01-01');
CREATE TABLE audit (what text, who int);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit VALUES (TG_OP || ' ' || TG_TABLE_NAME, 0);
    RETURN NULL;
END $$;
CREATE TRIGGER users_noted AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION noted();
CREATE FUNCTION stamped() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.message := coalesce(NEW.message, '') || '!';
    RETURN NEW;
END $$;
CREATE TRIGGER logs_stamped BEFORE INSERT OR UPDATE ON logs FOR EACH ROW EXECUTE FUNCTION stamped();
INSERT INTO logs VALUES ('2025-01-01 00:00+00', 'one');
