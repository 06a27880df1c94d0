-- The records of these ids, in the same order.
local rows = {}
for i = 2, #ARGV do rows[#rows + 1] = record(ARGV[i]) end
return rows
