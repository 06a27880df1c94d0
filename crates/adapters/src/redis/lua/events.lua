-- Events after a place, oldest first. ARGV: the place, and how many at most.
return call('XRANGE', P .. 'ev', int(tonumber(ARGV[2]) + 1) .. '-0', '+', 'COUNT', ARGV[3])
