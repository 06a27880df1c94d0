-- Returns the cursor after the newest event.
return { call('HGET', P .. 'meta', 'cursor') or '0' }
