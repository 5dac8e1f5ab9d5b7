-- A database in memory: rows in, an index, joins, updates, rows out. @scale is percent of a full run.
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, kind INTEGER, note TEXT);
CREATE TABLE sale(id INTEGER PRIMARY KEY, item INTEGER, amount INTEGER, day TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900 * @scale)
INSERT INTO item SELECT i, 'item ' || (i * 7919 % 100003), i % 97, substr('some text of varied length', 1, i % 26) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2200 * @scale)
INSERT INTO sale SELECT i, 1 + i * 31 % (900 * @scale), i % 1000, date('2026-01-01', (i % 300) || ' days') FROM n;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_item ON sale(item, day);
SELECT kind, count(*), sum(amount), group_concat(DISTINCT day) FROM sale JOIN item ON sale.item = item.id
  WHERE kind < 20 GROUP BY kind ORDER BY kind;
UPDATE item SET note = note || upper(name) WHERE kind % 3 = 0;
SELECT count(DISTINCT note), max(length(note)) FROM item;
DELETE FROM sale WHERE amount % 2 = 0;
SELECT printf('%s|%d', name, (SELECT sum(amount) FROM sale WHERE item = item.id)) FROM item ORDER BY name LIMIT 50;
SELECT count(*), sum(amount) FROM sale;
