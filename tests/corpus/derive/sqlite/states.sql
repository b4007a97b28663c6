-- state: empty

-- state: rows
INSERT INTO orgs (name, plan) VALUES ('acme', 'pro'), ('bolt', 'free'), ('coil', NULL);
INSERT INTO users (org_id, email, name, age, balance, note) VALUES
    (1, 'Ann@acme.example', 'Ann', 31, 10.5, 'first'), (1, 'bob@acme.example', 'Bob', 42, 0, ''),
    (2, 'cid@bolt.example', 'Cid', 27, 0.1, 'it''s');
INSERT INTO logs VALUES ('2025-01-01', 'one'), (5, 'two'), (x'00ff', NULL);
INSERT INTO codes VALUES ('a', 1), ('b', 1.5);

-- state: nulls
INSERT INTO orgs (name, plan) VALUES ('acme', NULL);
INSERT INTO users (org_id, email, name, age, note) VALUES (NULL, 'a', NULL, NULL, NULL), (NULL, 'b', NULL, 5, NULL);
INSERT INTO logs VALUES (NULL, NULL), (NULL, 'x');

-- state: duplicates
INSERT INTO orgs (name, plan) VALUES ('acme', 'pro'), ('bolt', 'pro');
INSERT INTO users (org_id, email, age, note) VALUES (1, 'same', 40, 'same'), (1, 'same', 40, 'same'), (1, 'SAME', 40, 'same');
INSERT INTO logs VALUES (1, 'same'), (1, 'same'), (1, 'same'), (1.0, 'same'), ('1', 'same'), (NULL, NULL), (NULL, NULL);

-- state: foreign_keys
INSERT INTO orgs (name) VALUES ('acme'), ('bolt');
INSERT INTO users (org_id, email, age) VALUES (1, 'a', 20), (2, 'b', 30);
CREATE TABLE memberships (user_id INTEGER REFERENCES users ON DELETE CASCADE, org_id INTEGER REFERENCES orgs ON DELETE SET NULL);
INSERT INTO memberships VALUES (1, 1), (2, 2);

-- state: triggers
INSERT INTO orgs (name) VALUES ('acme'), ('bolt');
INSERT INTO users (org_id, email, age) VALUES (1, 'a', 20), (2, 'b', 30);
CREATE TABLE audit (what, who);
CREATE TRIGGER users_noted AFTER UPDATE ON users BEGIN INSERT INTO audit VALUES ('update', NEW.id); END;
CREATE TRIGGER logs_noted AFTER INSERT ON logs WHEN NEW.at > 5 BEGIN
    INSERT INTO audit VALUES ('insert; really', CASE WHEN NEW.at IS NULL THEN 0 ELSE 1 END);
END;
INSERT INTO logs VALUES (1, 'one');
