"""What a draft would do if it came into force now: looked at over every open lead, before anybody signs.

`bars` reads and moves the bar for sales, `scan` scores a range of leads by both versions in one statement and
keeps the answers packed, `tally` counts and lists them, `weekly` says how many a week, `answers` what sales
said to such leads, `runs` is the work, `views` the pages.
"""
