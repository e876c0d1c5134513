"""What people's marks become: noise bank, embedding, rewards, replay."""
