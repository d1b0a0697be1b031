"""From a key to a pass: queue, caches, workers, health. What a pass decides is each kind's own matter."""
