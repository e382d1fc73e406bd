"""What leaves the house to other systems: signed webhooks and messages to channels of a chat.

`events` names what can be heard · `pulling` turns the ledgers into messages · `shapes` writes a message for
its reader · `addresses` refuses where it must not go · `sending` carries it · `managing` keeps the endpoints.
"""
