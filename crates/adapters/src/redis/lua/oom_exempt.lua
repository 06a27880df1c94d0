-- Part of scripts that must work when the server's memory is full: ends, stops, lease renewals. A server refuses
-- commands that need memory only until the script has written something; deleting an absent key counts as a write.
call('DEL', P .. 'empty')
