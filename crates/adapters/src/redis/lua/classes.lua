-- Returns all placements that have a waiting process.
return call('HKEYS', P .. 'classes')
