"""Words that the rows of tracks and steps keep."""

from leadflow.leads.models import Stage

# What came of a step.
SENT, ASKED, LISTED, LEFT_OUT = "sent", "asked a person", "on the list", "left out"
# Marketing's tracks have no say at these places.
FINAL = (Stage.CUSTOMER, Stage.DISQUALIFIED, Stage.EXCLUDED)
# The reason of a hold that a marketer set.
PARKED = "parked"
